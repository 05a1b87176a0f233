-- How a table is laid out: groups of columns and of rows.

local html = FORMAT:match('html') ~= nil
local stringify = pandoc.utils.stringify

-- Headings "Clean: ours", "Clean: published" side by side become a heading Clean over ours and published.
local function split_heading(cell)
  local inlines = cell.contents[1] and cell.contents[1].content or pandoc.Inlines({})
  for index, inline in ipairs(inlines) do
    if inline.t == 'Str' and inline.text:match('.:$') and #inlines > index then
      local group = pandoc.Inlines({ table.unpack(inlines, 1, index) })
      group[index] = pandoc.Str(inline.text:sub(1, -2))
      local rest = pandoc.Inlines({ table.unpack(inlines, index + 1) })
      if rest[1].t == 'Space' then rest:remove(1) end
      return group, rest
    end
  end
end

local function find_groups(cells)
  local groups = {}
  for index, cell in ipairs(cells) do
    local group, rest = split_heading(cell)
    local last = groups[#groups]
    if last and last.name and group and stringify(last.name) == stringify(group) then
      last.size = last.size + 1
    else
      table.insert(groups, { name = group, first = index, size = 1 })
    end
    groups[#groups].rest = groups[#groups].rest or {}
    table.insert(groups[#groups].rest, rest)
  end
  return groups
end

local function group_headings(tbl)
  local cells = tbl.head.rows[1].cells
  local above, gutters, grouped = pandoc.List({}), {}, false
  for column = 1, #cells - 1 do gutters[column] = '0pt' end
  for _, group in ipairs(find_groups(cells)) do
    if group.size > 1 then
      grouped = true
      for offset, rest in ipairs(group.rest) do cells[group.first + offset - 1].contents = { pandoc.Plain(rest) } end
      local attributes = { class = 'group', ['typst:stroke'] = '(bottom: 0.4pt)' }
      local name = html and pandoc.Inlines({ pandoc.Span(group.name) }) or group.name
      above:insert(pandoc.Cell({ pandoc.Plain(name) }, 'AlignCenter', 1, group.size, attributes))
      if group.first > 1 then gutters[group.first - 1] = '8pt' end
      if group.first + group.size <= #cells then gutters[group.first + group.size - 1] = '8pt' end
    else
      above:insert(pandoc.Cell({}, 'AlignDefault', 1, 1))
    end
  end
  if not grouped then return end
  tbl.head.rows:insert(1, pandoc.Row(above))
  if not html then tbl.attributes['typst:column-gutter'] = '(' .. table.concat(gutters, ', ') .. ',)' end
end

-- Where the first column names several rows at once, each such group begins with a little space.
local function space_groups(rows)
  local function names(row) return #row.cells[1].contents > 0 and stringify(row.cells[1].contents) ~= '' end
  for index = 2, #rows do
    if names(rows[index]) and not names(rows[index - 1]) then
      rows[index].classes:insert('first')
      for _, cell in ipairs(rows[index].cells) do
        if not html then cell.attributes['typst:inset'] = '(x: 4.5pt, top: 7pt, bottom: 3pt)' end
      end
    end
  end
end

-- Without the column widths that pandoc gives a table of long rows: columns are as wide as their contents need.
local function arrange(tbl)
  tbl.colspecs = tbl.colspecs:map(function(spec) return { spec[1], nil } end)
  if #tbl.head.rows > 0 then group_headings(tbl) end
  space_groups(tbl.bodies[1].body)
end

return { arrange = arrange }
