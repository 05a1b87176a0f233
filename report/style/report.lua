-- Numbers and cross-references, the same in HTML and typst; runs before citeproc.

package.path = pandoc.path.join({ pandoc.path.directory(PANDOC_SCRIPT_FILE), '?.lua' }) .. ';' .. package.path
local reading = require('reading')
local tables = require('tables')

local LONG = 30 -- a table of more rows may break over pages, and so cannot float
local html = FORMAT:match('html') ~= nil
local stringify = pandoc.utils.stringify
local KINDS, labels, equation_label = reading.KINDS, reading.labels, reading.equation_label

local function typst(text) return pandoc.RawInline('typst', text) end

local function typst_string(text) return '"' .. text:gsub('[\\"]', '\\%0') .. '"' end

local function number_span(text, id) return pandoc.Span(text, { class = 'number', of = id }) end

-- "Figure 1", "Figures 1 and 2": the word once where all are of one kind.
local function write_cite(cite)
  local ids = cite.citations:map(function(citation) return citation.id end)
  if not labels[ids[1]] then return nil end
  local result = pandoc.Inlines(cite.citations[1].prefix)
  if #result > 0 then result:insert(pandoc.Space()) end
  local before
  for index, id in ipairs(ids) do
    local entry = labels[id]
    if type(entry) ~= 'table' then return nil end
    if index > 1 then result:extend({ pandoc.Str(index == #ids and ' and ' or ', ') }) end
    local follower = labels[ids[index + 1]]
    local many = type(follower) == 'table' and follower.kind == entry.kind
    local word = KINDS[entry.kind][many and 'many' or 'one']
    if before == entry.kind then word = nil end
    before = entry.kind
    if html then
      local text = (word and word .. '\u{a0}' or '') .. entry.number
      result:insert(pandoc.Link(text, '#' .. id, '', { class = 'ref' }))
    else
      result:insert(typst(('#ref(<%s>, supplement: %s)'):format(id, word and '[' .. word .. ']' or 'none')))
    end
    result:extend(cite.citations[index].suffix)
  end
  return result
end

-- No line break between a formula and the full stop or comma after it: browsers allow one.
local function keep_together(inlines)
  if not html then return nil end
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

local function write_equation(paragraph)
  local id = equation_label(paragraph)
  if not id then return nil end
  local math = paragraph.content[1]
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

local function write_figure(figure)
  if html then
    figure.caption = number_caption(figure.caption, figure.identifier)
    figure.content = { pandoc.Div(figure.content, { class = 'scroll' }) }
    return figure
  end
  local image = figure.content[1].content[1]
  local open = '#figure(wide(image(%s, alt: %s, width: %s)), caption: ['
  open = open:format(typst_string(image.src), typst_string(stringify(image.caption)), image.attributes.width)
  local inlines = pandoc.Inlines({ typst(open) })
  inlines:extend(figure.caption.long[1].content)
  inlines:insert(typst(('])<%s>'):format(figure.identifier)))
  return pandoc.Plain(inlines)
end

local function write_table(tbl)
  tables.arrange(tbl)
  if not html then
    if #tbl.bodies[1].body <= LONG then return tbl end
    return { pandoc.RawBlock('typst', '#[#set figure(placement: none)'), tbl, pandoc.RawBlock('typst', ']') }
  end
  tbl.caption = number_caption(tbl.caption, tbl.identifier)
  tbl.caption.long = { pandoc.Plain({ pandoc.Span(tbl.caption.long[1].content) }) }
  return pandoc.Div({ tbl }, { class = 'table' })
end

-- The code behind a figure or table: folded away in HTML, left out of the PDF.
local function write_code(div)
  if not div.classes:includes('code-of') then return nil end
  if not html then return {} end
  local entry = labels[div.attributes.label]
  local head = ('<details class="code"><summary>Code of %s %s, notebook %s</summary>'):format(
    KINDS[entry.kind].one, entry.number, div.attributes.notebook)
  return { pandoc.RawBlock('html', head), div.content[1], pandoc.RawBlock('html', '</details>') }
end

local WRITE = {
  Header = write_header, Para = write_equation, Figure = write_figure, Table = write_table, Div = write_code,
  Cite = write_cite, Inlines = keep_together,
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
  for _, field in ipairs({ 'title', 'author', 'date' }) do
    if not meta[field] then reading.problem('the front matter gives no %s', field) end
  end
  reading.stop_on_problems()
  local iso = stringify(meta.date)
  local year, month, day = iso:match('^(%d%d%d%d)%-(%d%d)%-(%d%d)$')
  if not year or not MONTHS[tonumber(month)] then
    reading.problem('the date must be year-month-day, is %q', iso)
    reading.stop_on_problems()
  end
  meta.date = ('%d %s %s'):format(tonumber(day), MONTHS[tonumber(month)], year)
  meta.iso = iso
  local authors = pandoc.utils.type(meta.author) == 'List' and meta.author or pandoc.List({ meta.author })
  meta.author = authors
  meta.pagetitle = stringify(meta.title)
  if html then return end
  local names = authors:map(function(author) return typst_string(stringify(author)) end)
  meta['document-title'] = typst(typst_string(meta.pagetitle))
  meta['document-authors'] = typst('(' .. table.concat(names, ', ') .. ',)')
  meta['document-date'] = typst(('datetime(year: %d, month: %d, day: %d)'):format(
    tonumber(year), tonumber(month), tonumber(day)))
end

-- The section Abstract becomes the metadata's abstract.
local function take_abstract(blocks, meta)
  local rest, abstract = pandoc.Blocks({}), nil
  local inside = false
  for _, block in ipairs(blocks) do
    if block.t == 'Header' then inside = block.identifier == 'abstract' end
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

function Pandoc(doc)
  local blocks = reading.read_document(doc)
  write_metadata(doc.meta)
  blocks = blocks:walk(WRITE)
  if not html then blocks = blocks:walk(WRITE_MATH) end
  doc.blocks = take_abstract(blocks, doc.meta)
  return doc
end
