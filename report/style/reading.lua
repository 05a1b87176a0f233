-- The strict reading that neither pandoc nor typst does: what a notebook's text refers to, the labels with their numbers,
-- and what would be lost. Anything wrong is printed, with the notebook and the cell, and ends pandoc.

local stringify = pandoc.utils.stringify

local KINDS = {
  fig = { one = 'Figure', many = 'Figures' },
  tbl = { one = 'Table', many = 'Tables' },
  eq = { one = 'Equation', many = 'Equations' },
  sec = { one = 'Section', many = 'Sections' },
}

local labels = {}    -- identifier -> { kind, number }, or true where there is nothing to refer to
local headings = {}  -- notebook as its file is named -> { { notebook, slug, id }, ... }
local works = {}     -- address of a work -> its key in the bibliography
local wanted = {}    -- { place, find, text }: references, looked up when all labels are known
local title = { author = pandoc.List({}) }
local problems = {}
local cell = { notebook = 'front-matter', source = 'front-matter', number = '1' }

local function place() return ('%s, cell %s'):format(cell.notebook, cell.number) end

local function problem(text, ...) table.insert(problems, place() .. ': ' .. text:format(...)) end

local function stop_on_problems()
  if #problems > 0 then
    io.stderr:write(table.concat(problems, '\n'), '\n')
    os.exit(1)
  end
end

-- Labels -------------------------------------------------------------------------------------------------------------

local count = { fig = 0, tbl = 0, eq = 0 }
local sections, level = {}, 0

local function label(id, entry)
  if id == '' then return end
  if labels[id] then problem('the identifier %s is used twice', id) end
  labels[id] = entry
end

local function next_number(kind, id)
  count[kind] = count[kind] + 1
  label(id, { kind = kind, number = tostring(count[kind]) })
end

-- Jupyter and GitHub write a heading's name in a link differently: compared are its letters and digits.
local function slug(text) return (pandoc.text.lower(text):gsub('\xe2\x80[\x80-\xbf]', ''):gsub('[^%w\128-\255]+', '')) end

local function heading_id(text)
  local name = text:lower():gsub('\xe2\x80[\x80-\xbf]', ''):gsub('[^%w]+', '-'):gsub('^%-+', ''):gsub('%-+$', '')
  local id = ('sec-%s-%s'):format(cell.notebook, name)
  local name, again = id, 1
  while labels[name] do
    again = again + 1
    name = id .. '-' .. again
  end
  return name
end

local function read_header(header)
  local text = stringify(header)
  if header.level > level + 1 then problem('the heading %q skips a level', text) end
  level = header.level
  if cell.notebook == 'front-matter' and text == 'Abstract' then
    label('abstract', true)
    header.identifier = 'abstract'
    header.classes:insert('unnumbered')
    return header
  end
  header.identifier = heading_id(text)
  for deeper = #sections, header.level + 1, -1 do sections[deeper] = nil end
  for depth = #sections + 1, header.level do sections[depth] = 0 end
  sections[header.level] = sections[header.level] + 1
  label(header.identifier, { kind = 'sec', number = table.concat(sections, '.') })
  headings[cell.source] = headings[cell.source] or {}
  table.insert(headings[cell.source], { notebook = cell.notebook, slug = slug(text), id = header.identifier })
  return header
end

-- A displayed formula that ends with \tag{name}, in a paragraph of its own, is a numbered equation.
local function read_paragraph(paragraph)
  local math = paragraph.content[1]
  if #paragraph.content ~= 1 or math.t ~= 'Math' or math.mathtype ~= 'DisplayMath' then return nil end
  local text, name = math.text:match('^(.-)%s*\\tag%s*{([%w-]+)}%s*$')
  if not name then return nil end
  next_number('eq', 'eq-' .. name)
  math.text = text
  return pandoc.Div({ pandoc.Para({ math }) }, { id = 'eq-' .. name, class = 'advlib-equation' })
end

-- A table of tables.show: the table, and a paragraph that is its caption.
local function read_table(div)
  local tbl, caption = div.content[1], div.content[2]
  if #div.content ~= 2 or tbl.t ~= 'Table' then return problem('%s is no table', div.attributes.label) end
  tbl.identifier = div.attributes.label
  tbl.caption.long = { pandoc.Plain(caption.content) }
  next_number('tbl', tbl.identifier)
  return tbl
end

-- References ---------------------------------------------------------------------------------------------------------

-- What stands for a reference until it is written: report.lua calls `find` for the label.
local finders = {}

local function reference(text, find)
  table.insert(finders, find)
  table.insert(wanted, { place = place(), find = find, text = text })
  return pandoc.Span({}, { class = 'advlib-reference', finder = tostring(#finders) })
end

local function find_label(span) return finders[tonumber(span.attributes.finder)]() end

local function is_reference(inline) return inline and inline.t == 'Span' and inline.classes[1] == 'advlib-reference' end

-- A heading of this very notebook first: copies of a notebook have the same.
local function find_heading(notebook, source, name)
  local found
  for _, heading in ipairs(headings[source] or {}) do
    if name == '' or heading.slug == name then
      if heading.notebook == notebook then return heading.id end
      found = found or heading.id
    end
  end
  return found
end

local WORDS = { Figure = 'fig', Table = 'tbl', Equation = 'eq' }

-- Splits what ends with one of the words: the text before it, and the kind.
local function split_word(inline)
  if inline.t ~= 'Str' then return nil end
  for word, kind in pairs(WORDS) do
    local before = inline.text:match('^(.-)' .. word .. '$')
    if before and not before:match('[%w-]$') then return before, kind end
    if inline.text:match('^%p*' .. word .. 's$') then return inline.text, 'many' end
  end
end

-- A space that does not break is one: "Figure\u{a0}*curves*".
local function split_spaces(inlines)
  local result = pandoc.Inlines({})
  for _, inline in ipairs(inlines) do
    local word, rest = (inline.t == 'Str' and inline.text or ''):match('^(.-)\u{a0}(.*)$')
    if word and split_word(pandoc.Str(word)) then
      result:extend({ pandoc.Str(word), pandoc.Space() })
      if rest ~= '' then result:insert(pandoc.Str(rest)) end
    else
      result:insert(inline)
    end
  end
  return result
end

-- "Figure *curves*", "Table *classes*", "Equation (step)".
local function read_words(all)
  local inlines, result, index = split_spaces(all), pandoc.Inlines({}), 1
  while index <= #inlines do
    local word, space, name = inlines[index], inlines[index + 1], inlines[index + 2]
    local before, kind, called, after
    if name and (space.t == 'Space' or space.t == 'SoftBreak') then before, kind = split_word(word) end
    if kind == 'eq' and name.t == 'Str' then
      called, after = name.text:match('^%(([%w-]+)%)(.*)$')
    elseif kind == 'many' and (name.t == 'Emph' or (word.text .. ' ' .. stringify(name)):match('Equations %([%w-]+%)')) then
      problem('%s %s: a reference is written with the word for one, Figure *a* and Figure *b*', word.text, stringify(name))
    elseif kind and kind ~= 'eq' and name.t == 'Emph' then
      called, after = stringify(name), ''
    end
    if called then
      local id = kind .. '-' .. called
      if before ~= '' then result:insert(pandoc.Str(before)) end
      result:insert(reference(('%s %s'):format(word.text:sub(#before + 1), called), function() return id end))
      if after ~= '' then result:insert(pandoc.Str(after)) end
      index = index + 3
    else
      result:insert(word)
      index = index + 1
    end
  end
  return result
end

local function address(url)
  return (url:lower():gsub('^https?://', ''):gsub('^www%.', ''):gsub('[/#]+$', ''))
end

local function read_works(doc)
  local all = pandoc.Cite({}, { pandoc.Citation('*', 'NormalCitation') })
  local meta = { bibliography = doc.meta.bibliography, nocite = pandoc.MetaInlines({ all }) }
  for _, work in ipairs(pandoc.utils.references(pandoc.Pandoc({}, meta))) do
    works['references.bib#' .. work.id] = work.id
    if work.url then works[address(stringify(work.url))] = work.id end
    local doi = work.doi and stringify(work.doi):lower()
    if doi then works['doi.org/' .. doi] = work.id end
    local arxiv = doi and doi:match('^10%.48550/arxiv%.(.*)$')
    if arxiv then works['arxiv.org/abs/' .. arxiv] = work.id end
  end
end

local function unescape(text) return (text:gsub('%%(%x%x)', function(code) return string.char(tonumber(code, 16)) end)) end

-- A link to a work of the bibliography gets its number behind it; one to a chapter becomes the chapter's number.
local function read_link(link)
  local file, fragment = link.target:match('^([^#]*)#?(.*)$')
  local name = file:match('([^/]*)$')
  local work = works[address(link.target)] or works[name .. '#' .. fragment]
  if work then
    local cite = pandoc.Cite({ pandoc.Str('@' .. work) }, { pandoc.Citation(work, 'NormalCitation') })
    local result = pandoc.Inlines(link.content)
    if #result > 0 then result:insert(pandoc.Str('\u{a0}')) end
    result:insert(cite)
    return result
  elseif name == 'references.bib' then
    problem('unknown citation %s', fragment)
  elseif file == '' or (name:match('%.ipynb$') and not file:match('^%a+:')) then
    local notebook, source = cell.notebook, file == '' and cell.source or unescape(name:gsub('%.ipynb$', ''))
    local wants = slug(unescape(fragment))
    return reference(link.target, function() return find_heading(notebook, source, wants) end)
  elseif read_words(link.content):find_if(is_reference) then
    problem('a link around a reference: %s', stringify(link))
  elseif not link.target:match('^https?://') then
    problem('the link %s is neither to a notebook nor http...', link.target)
  end
end

-- What may stand in a text ---------------------------------------------------------------------------------------------

-- An HTML element that is not closed has swallowed the cells after it: nothing else that is found means much.
local function stop_at_open_element()
  problems = {}
  problem('an element of HTML is not closed, or closed too often')
  stop_on_problems()
end

-- What advlib.report.prose has kept from becoming a typographic sign.
local function read_string(str)
  return pandoc.Str((str.text:gsub('\xee\x80[\x80-\xbf]', function(sign) return string.char(utf8.codepoint(sign) - 0xe000) end)))
end

-- The elements that advlib.report.prose writes for formulas; and code as it is.
local function read_code(code)
  local text = read_string(code).text
  if code.classes[1] ~= 'advlib-math' then return pandoc.Code(text, code.attr) end
  return pandoc.Math(code.classes[2] == 'display' and 'DisplayMath' or 'InlineMath', text)
end

local function read_raw(raw)
  problem('raw %s would be lost: %s', raw.format, raw.text)
end

-- What pandoc, typst or browsers leave out of a formula without a word.
local LOST = { '\\tag', '\\&', '\\color', '\\textcolor', '\\hline', '\\boxed', '\\cancel', '{array}{[^}]*|' }

local function read_math(math)
  local written = pandoc.write(pandoc.Pandoc({ pandoc.Para({ math }) }), 'html', { html_math_method = 'mathml' })
  if not written:match('<math') then problem('the formula %s cannot be read', math.text) end
  for _, lost in ipairs(LOST) do
    if math.text:match(lost) then problem('in the formula %s, %s would be lost', math.text, lost:gsub('%%', '')) end
  end
end

local function take_title(div)
  if cell.notebook ~= 'front-matter' then problem("the title is the front matter's") end
  for _, line in ipairs(div.content) do
    local name, content = line.classes[1]:gsub('^advlib%-', ''), pandoc.Inlines(line.content[1].content):walk({ Str = read_string })
    if name == 'author' then title.author:insert(pandoc.MetaInlines(content)) else title[name] = content end
  end
  return {}
end

local function read_div(div)
  if div.classes:includes('advlib-cell') then stop_at_open_element() end
  if div.classes[1] == 'advlib-title' then return take_title(div), false end
  if div.classes[1] == 'advlib-table' and div.attributes.label then return read_table(div) end
  label(div.identifier, true)
end

local READ = {
  traverse = 'topdown',
  Header = read_header,
  Para = read_paragraph,
  Figure = function(figure)
    if not figure.identifier:match('^fig%-') then return problem('a figure does not come from a cell') end
    next_number('fig', figure.identifier)
  end,
  Image = function(image)
    if image.src:match('^fig%-[%w-]+%.svg$') == nil then
      problem('the image %s does not come from a cell', image.src:sub(1, 40))
    end
  end,
  Link = read_link,
  Inlines = read_words,
  RawBlock = read_raw,
  RawInline = read_raw,
  Math = read_math,
  Str = read_string,
  Span = function(span) if not is_reference(span) then label(span.identifier, true) end end,
  Div = read_div,
}

local function check_references()
  for _, each in ipairs(wanted) do
    if type(labels[each.find() or '']) ~= 'table' then
      table.insert(problems, ('%s: unknown label %s'):format(each.place, each.text))
    end
  end
end

-- Returns the document's blocks without the divs of the cells; `mark` gives what announces a cell.
local function read_document(doc, mark)
  local blocks = pandoc.Blocks({})
  read_works(doc)
  for _, block in ipairs(doc.blocks) do
    if block.t == 'Div' and block.classes[1] == 'advlib-cell' then
      cell = block.attributes
      blocks:extend(mark(place()))
      blocks:extend(pandoc.Blocks(block.content):walk({ Code = read_code }):walk(READ))
    elseif block.identifier == 'refs' or block.identifier == 'references' then
      blocks:insert(block)
    else
      stop_at_open_element()
    end
  end
  if #blocks == 0 or blocks[#blocks].identifier ~= 'refs' then stop_at_open_element() end
  check_references()
  cell = { notebook = 'front-matter', number = '1' }
  stop_on_problems()
  return blocks
end

return {
  KINDS = KINDS,
  labels = labels,
  title = title,
  find_label = find_label,
  is_reference = is_reference,
  problem = problem,
  stop_on_problems = stop_on_problems,
  read_document = read_document,
}
