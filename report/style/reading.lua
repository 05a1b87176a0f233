-- The strict reading that neither pandoc nor typst does: the labels with their numbers, and what is not allowed.
-- Anything wrong is printed, with the notebook and the cell, and ends pandoc.

local stringify = pandoc.utils.stringify

local KINDS = {
  fig = { one = 'Figure', many = 'Figures' },
  tbl = { one = 'Table', many = 'Tables' },
  eq = { one = 'Equation', many = 'Equations' },
  sec = { one = 'Section', many = 'Sections' },
}

local labels = {}    -- identifier -> { kind, number }, or true where there is nothing to refer to
local citations = {} -- { place, identifier }: looked up when all labels are known
local problems = {}
local place = 'front matter'

local function problem(text, ...)
  table.insert(problems, place .. ': ' .. text:format(...))
end

local function stop_on_problems()
  if #problems > 0 then
    io.stderr:write(table.concat(problems, '\n'), '\n')
    os.exit(1)
  end
end

local count = { fig = 0, tbl = 0, eq = 0 }
local sections, level = {}, 0

local function label(id, entry)
  if id == '' then return end
  if labels[id] then problem('the identifier %s is used twice', id) end
  labels[id] = entry
end

local function next_number(kind, id, what)
  if not id:match('^' .. kind .. '%-[%w-]+$') then
    problem('%s needs a label {#%s-...}, has %q', what, kind, id)
  end
  count[kind] = count[kind] + 1
  label(id, { kind = kind, number = tostring(count[kind]) })
end

local function read_header(header)
  if header.level > level + 1 then
    problem('the heading %q skips a level', stringify(header))
  end
  level = header.level
  if header.classes:includes('unnumbered') then
    return label(header.identifier, true)
  end
  for deeper = #sections, header.level + 1, -1 do sections[deeper] = nil end
  for depth = #sections + 1, header.level do sections[depth] = 0 end
  sections[header.level] = sections[header.level] + 1
  label(header.identifier, { kind = 'sec', number = table.concat(sections, '.') })
end

-- An equation is a paragraph of display mathematics and {#eq-...}.
local function equation_label(paragraph)
  local id = stringify(paragraph.content[#paragraph.content] or pandoc.Str('')):match('^{#(.*)}$')
  local first = paragraph.content[1]
  if id and first.t == 'Math' and first.mathtype == 'DisplayMath' and #paragraph.content <= 3 then return id end
end

local function read_paragraph(paragraph)
  local id = equation_label(paragraph)
  if id then return next_number('eq', id, 'an equation') end
  for _, inline in ipairs(paragraph.content) do
    if inline.t == 'Str' and inline.text:match('^{#') then
      problem('%s must follow $$...$$ in a paragraph of its own', inline.text)
    end
  end
end

local function read_caption(caption, id)
  if #caption.long == 0 then problem('%s has no caption', id) end
end

-- It has swallowed the marks of the cells after it: nothing else that is found means much.
local function stop_at_open_fence()
  problems = {}
  problem('a code or div fence is not closed')
  stop_on_problems()
end

local READ = {
  traverse = 'topdown',
  Header = read_header,
  Para = read_paragraph,
  Figure = function(figure)
    next_number('fig', figure.identifier, 'a figure')
    read_caption(figure.caption, figure.identifier)
    if #figure.content ~= 1 or #figure.content[1].content ~= 1 then problem('%s is not one image', figure.identifier) end
  end,
  Table = function(tbl)
    next_number('tbl', tbl.identifier, 'a table')
    read_caption(tbl.caption, tbl.identifier)
  end,
  Image = function(image)
    if image.src:match('^[%w-]+%.svg$') == nil then problem('the image %s does not come from a cell', image.src) end
  end,
  Link = function(link)
    if link.target:match('^#') then
      table.insert(citations, { place = place, id = link.target:sub(2) })
    elseif not link.target:match('^https?://') then
      problem('the link %s is neither #... nor http...', link.target)
    end
  end,
  Cite = function(cite)
    for _, citation in ipairs(cite.citations) do
      table.insert(citations, { place = place, id = citation.id, key = true })
    end
  end,
  RawBlock = function(raw) problem('raw %s would be lost: %s', raw.format, raw.text) end,
  RawInline = function(raw) problem('raw %s would be lost: %s', raw.format, raw.text) end,
  Span = function(span)
    if span.classes:includes('cell') then stop_at_open_fence() end
    label(span.identifier, true)
  end,
  Div = function(div) label(div.identifier, true) end,
  CodeBlock = function(code)
    if code.text:match('%[%]{%.cell notebook=') then stop_at_open_fence() end
  end,
}

local function check_citations(doc)
  local known = {}
  for _, reference in ipairs(pandoc.utils.references(doc)) do known[reference.id] = true end
  for _, citation in ipairs(citations) do
    place = citation.place
    local target = labels[citation.id]
    if citation.key and KINDS[citation.id:match('^(%l+)%-') or ''] then
      if type(target) ~= 'table' then problem('unknown label %s', citation.id) end
    elseif citation.key and not known[citation.id] then
      problem('unknown citation %s', citation.id)
    elseif not citation.key and not target then
      problem('unknown label %s', citation.id)
    end
  end
end

-- Returns the document's blocks without the marks of the cells.
local function read_document(doc)
  local blocks = pandoc.Blocks({})
  for _, block in ipairs(doc.blocks) do
    local mark = block.t == 'Para' and #block.content == 1 and block.content[1]
    if mark and mark.t == 'Span' and mark.classes:includes('cell') then
      place = ('%s, cell %s'):format(mark.attributes.notebook, mark.attributes.number)
    else
      pandoc.Blocks({ block }):walk(READ)
      blocks:insert(block)
    end
  end
  check_citations(doc)
  stop_on_problems()
  place = 'front matter'
  return blocks
end

return {
  KINDS = KINDS,
  labels = labels,
  equation_label = equation_label,
  problem = problem,
  stop_on_problems = stop_on_problems,
  read_document = read_document,
}
