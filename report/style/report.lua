-- Numbers and cross-references, the same in HTML and typst; runs before citeproc.

package.path = pandoc.path.join({ pandoc.path.directory(PANDOC_SCRIPT_FILE), '?.lua' }) .. ';' .. package.path
local reading = require('reading')
local tables = require('tables')

local html = FORMAT:match('html') ~= nil
local stringify = pandoc.utils.stringify
local KINDS, labels, is_reference = reading.KINDS, reading.labels, reading.is_reference

local function typst(text) return pandoc.RawInline('typst', text) end

local function typst_string(text) return '"' .. text:gsub('[\\"]', '\\%0') .. '"' end

local function number_span(text, id) return pandoc.Span(text, { class = 'number', of = id }) end

-- The place of the next reference, where only a comma or "and" is between it and the one at `index`.
local function next_in_list(inlines, index)
  local between, at = '', index + 1
  while inlines[at] and not is_reference(inlines[at]) and #between < 7 do
    between = between .. stringify(inlines[at])
    at = at + 1
  end
  local alike = is_reference(inlines[at]) and (between == ', ' or between == ' and ' or between == ', and ')
  return alike and labels[reading.find_label(inlines[at])].kind
end

-- "Figure 1", "Figures 1 and 2": the word once where all are of one kind.
local function write_references(inlines)
  local result, before = pandoc.Inlines({}), nil
  for index, inline in ipairs(inlines) do
    if not is_reference(inline) then
      result:insert(inline)
    else
      local id = reading.find_label(inline)
      local entry, following = labels[id], next_in_list(inlines, index)
      local word = before ~= entry.kind and KINDS[entry.kind][following == entry.kind and 'many' or 'one']
      before = following == entry.kind and following or nil
      if html then
        local text = (word and word .. '\u{a0}' or '') .. entry.number
        result:insert(pandoc.Link(text, '#' .. id, '', { class = 'ref' }))
      else
        result:insert(typst(('#ref(<%s>, supplement: %s)'):format(id, word and '[' .. word .. ']' or 'none')))
      end
    end
  end
  return result
end

-- No line break between a formula and the full stop or comma after it: browsers allow one.
local function keep_together(inlines)
  if not html then return inlines end
  for index = #inlines - 1, 1, -1 do
    local math, after = inlines[index], inlines[index + 1]
    local sign = math.t == 'Math' and math.mathtype == 'InlineMath' and after.t == 'Str' and after.text:match('^%p+')
    if sign then
      inlines[index] = pandoc.Span({ math, pandoc.Str(sign) }, { class = 'together' })
      inlines[index + 1] = pandoc.Str(after.text:sub(#sign + 1))
    end
  end
  return inlines
end

local function write_header(header)
  local entry = labels[header.identifier]
  if not html then return nil end
  header.level = header.level + 1 -- the title is the first level
  if type(entry) == 'table' then
    header.content:insert(1, number_span(entry.number, header.identifier))
    header.content:insert(2, pandoc.Space())
  end
  return header
end

-- In the PDF a formula's text alternative is its TeX source; a short one in a line is not broken.
local function write_math(math, settings)
  local around = math.mathtype == 'InlineMath' and #math.text < 30 and '#box' or '#'
  local open = around .. '[#set math.equation(%salt: %s)\n'
  return pandoc.Inlines({ typst(open:format(settings or '', typst_string(math.text))), math, typst(']') })
end

local function write_equation(div)
  local id, math = div.identifier, div.content[1].content[1]
  if html then
    local number = number_span('(' .. labels[id].number .. ')', id)
    return pandoc.Div({ pandoc.Plain({ math }), pandoc.Plain({ number }) }, { id = id, class = 'equation' })
  end
  local inlines = write_math(math, 'numbering: "(1)", ')
  inlines[3] = typst((' <%s>]'):format(id))
  return pandoc.Para(inlines)
end

-- The first block of a caption gets the label in front.
local function number_caption(caption, id)
  local entry = labels[id]
  local text = KINDS[entry.kind].one .. '\u{a0}' .. entry.number
  local content = caption.long[1].content
  content:insert(1, number_span(text, id))
  content:insert(2, pandoc.Space())
  return caption
end

-- What is wider than a narrow window is scrolled, also by the keyboard.
local function scrolled(class, id)
  local entry = labels[id]
  local name = entry and KINDS[entry.kind].one .. ' ' .. entry.number or 'Table'
  return pandoc.Attr('', { class }, { { 'tabindex', '0' }, { 'role', 'group' }, { 'aria-label', name } })
end

local function write_figure(figure)
  if html then
    figure.caption = number_caption(figure.caption, figure.identifier)
    figure.content = { pandoc.Div(figure.content, scrolled('scroll', figure.identifier)) }
    return figure
  end
  local image = figure.content[1].content[1]
  local open = '#figure(image(%s, alt: %s, width: %s), caption: ['
  open = open:format(typst_string(image.src), typst_string(stringify(image.caption)), image.attributes.width)
  local inlines = pandoc.Inlines({ typst(open) })
  inlines:extend(figure.caption.long[1].content)
  inlines:insert(typst(('])<%s>'):format(figure.identifier)))
  return pandoc.Plain(inlines)
end

-- One without a label, in a notebook's prose, has neither number nor caption, and stays where it is.
local function write_table(tbl)
  tables.arrange(tbl)
  local numbered = tbl.identifier ~= ''
  if not html then
    if numbered then return tbl end
    return { pandoc.RawBlock('typst', '#[#set figure(numbering: none)'), tbl, pandoc.RawBlock('typst', ']') }
  end
  if numbered then
    tbl.caption = number_caption(tbl.caption, tbl.identifier)
    tbl.caption.long = { pandoc.Plain({ pandoc.Span(tbl.caption.long[1].content) }) }
  end
  return pandoc.Div({ tbl }, scrolled('table', tbl.identifier))
end

-- The cell that made a figure or table: folded away in HTML, left out of the PDF.
local function write_code(div)
  if not html then return {} end
  local entry = labels[div.attributes.label]
  local head = '<details class="code"><summary>Code of %s %s, notebook %s</summary>'
  local blocks = pandoc.Blocks({
    pandoc.RawBlock('html', head:format(KINDS[entry.kind].one, entry.number, div.attributes.notebook)),
  })
  blocks:extend(div.content)
  blocks:insert(pandoc.RawBlock('html', '</details>'))
  return blocks
end

local function write_div(div)
  if div.classes[1] == 'advlib-equation' then return write_equation(div) end
  if div.classes[1] == 'advlib-code' then return write_code(div) end
end

-- typst would make an ellipsis of three dots, also where a text has three dots.
local function write_dots(str)
  local before, after = str.text:match('^(.-)%.%.%.(.*)$')
  if html or not before then return nil end
  return pandoc.Inlines({ pandoc.Str(before), typst('#"...";'), pandoc.Str(after) })
end

local WRITE = {
  Str = write_dots, Header = write_header, Figure = write_figure, Table = write_table, Div = write_div,
  Inlines = function(inlines) return keep_together(write_references(inlines)) end,
}

-- After WRITE, for typst: the text alternatives of all formulas but the numbered equations, which have theirs.
local WRITE_MATH = {
  traverse = 'topdown',
  Para = function(paragraph)
    local first = paragraph.content[1]
    if first and first.t == 'RawInline' and first.text:match('^#%[#set math') then return paragraph, false end
  end,
  Math = function(math) return write_math(math), false end,
}

-- Front matter -------------------------------------------------------------------------------------------------------

local MONTHS = { 'January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October',
  'November', 'December' }

local function write_metadata(meta)
  local title = reading.title
  if not title.date then
    reading.problem('the front matter shows no title')
    reading.stop_on_problems()
  end
  local iso = stringify(title.date)
  local year, month, day = iso:match('^(%d%d%d%d)%-(%d%d)%-(%d%d)$')
  meta.lang = 'en-GB'
  meta.title, meta.subtitle, meta.author = title.title, title.subtitle, title.author
  meta.date = ('%d %s %s'):format(tonumber(day), MONTHS[tonumber(month)], year)
  meta.iso = iso
  meta.pagetitle = stringify(meta.title)
  if html then return end
  local names = title.author:map(function(author) return typst_string(stringify(author)) end)
  meta['document-title'] = typst(typst_string(meta.pagetitle))
  meta['document-authors'] = typst('(' .. table.concat(names, ', ') .. ',)')
  meta['document-date'] = typst(('datetime(year: %d, month: %d, day: %d)'):format(
    tonumber(year), tonumber(month), tonumber(day)))
end

local function is_figure(block) -- as write_figure leaves it
  local first = block.t == 'Plain' and block.content[1]
  return block.t == 'Figure' or (first and first.t == 'RawInline' and first.text:match('^#figure'))
end

-- The section Abstract becomes the metadata's abstract.
local function take_abstract(blocks, meta)
  local rest, abstract = pandoc.Blocks({}), nil
  local inside = false
  for _, block in ipairs(blocks) do
    if block.t == 'Header' then inside = block.identifier == 'abstract' end
    if is_figure(block) then inside = false end -- it stands below the abstract
    if not inside then
      rest:insert(block)
    elseif block.t == 'Header' then
      abstract = pandoc.Blocks({})
    else
      abstract:insert(block)
    end
  end
  meta.abstract = abstract
  return rest
end

-- A comment, so that an error of typst can be told by its line.
local function announce_cell(place)
  return html and {} or { pandoc.RawBlock('typst', '// ' .. place) }
end

-- For typst: a mark begins each unit, which no figure or table may split: a heading with what follows it, and text up
-- to the end of a sentence. typeset.py moves figures and tables, between the units of their section.
local function mark_units(blocks)
  local result, comment, glued, new = pandoc.Blocks({}), nil, false, false
  for _, block in ipairs(blocks) do
    local float = is_figure(block) and 'figure' or (block.t == 'Table' and block.identifier ~= '' and 'table')
    if block.t == 'RawBlock' and block.text:match('^//') then
      comment, new = block, true -- the cell's name, for typeset.py's errors; a unit that is moved takes it along
    else
      if block.t == 'Header' or not glued then
        local kind = float or 'text'
        if block.t == 'Header' then kind = block.level == 1 and 'section' or 'subsection' end
        result:extend({ pandoc.RawBlock('typst', ('#unit("%s")'):format(kind)), comment })
      elseif new then
        result:insert(comment)
      end
      new = false
      result:insert(block)
      if not float then glued = not stringify(block):match('[.?!][%)%]”’]*%s*$') or block.t == 'Header' end
    end
  end
  result:insert(pandoc.RawBlock('typst', '#unit("end")'))
  return result
end

function Pandoc(doc)
  local blocks = reading.read_document(doc, announce_cell)
  write_metadata(doc.meta)
  blocks = blocks:walk(WRITE)
  if not html then blocks = blocks:walk(WRITE_MATH) end
  doc.blocks = take_abstract(blocks, doc.meta)
  if not html then doc.blocks = mark_units(doc.blocks) end
  return doc
end
