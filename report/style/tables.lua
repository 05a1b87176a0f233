-- How a table is laid out: groups of columns and of rows.

local html = FORMAT:match('html') ~= nil
local TEXT = 5.5 * 72 -- the text's width in print, in points
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

-- Decimal points ----------------------------------------------------------------------------------------------------

local WIDTHS = { ['.'] = 0.47, [','] = 0.47, [' '] = 0.54, ['['] = 0.77, [']'] = 0.77 } -- in digits of the typeface
local DIGIT = 0.465 -- in em

local function measure(text)
  local width = 0
  for sign in text:gmatch('.') do width = width + (WIDTHS[sign] or 1) end
  return width
end

local function pad(digits)
  if digits < 0.01 then return pandoc.Str('') end
  if html then return pandoc.Span({}, { style = ('padding-left: %.2fch'):format(digits) }) end
  return pandoc.RawInline('typst', ('#h(%.3fem)'):format(digits * DIGIT))
end

-- The numbers of a cell as parts before and from the decimal point: of "1.5", "1.5 [1.4]", "1.5 to 2.5" or "1.5, 2.5".
local function read_numbers(text)
  local numbers, between = {}, ''
  while true do
    local sign, rest = '', text
    for _, each in ipairs({ '\u{2212}', '+', '~' }) do
      if text:sub(1, #each) == each then sign, rest = each, text:sub(#each + 1) end
    end
    local whole, fraction, after = rest:match('^([%d,]*%d)(%.?%d*)(.*)$')
    if not whole then return nil end
    local width = measure(whole) + (sign == '' and 0 or 1.2)
    local number = { between = between, whole = sign .. whole, fraction = fraction, width = width }
    table.insert(numbers, number)
    if after == '' or after:match('^ %[.*%]$') then
      number.fraction = fraction .. after
      return numbers
    end
    between = after:match('^ to ') or after:match('^, ')
    if not between then return nil end
    text = after:sub(#between + 1)
  end
end

local function align_column(rows, column)
  local found, many = {}, nil
  for index, row in ipairs(rows) do
    local text = stringify(row.cells[column].contents)
    if text ~= '' and text ~= '\u{2013}' then
      found[index] = read_numbers(text)
      if not found[index] then return end -- words are among them
      many = math.min(many or 9, #found[index])
    end
  end
  local widest = {}
  for _, numbers in pairs(found) do
    for place, number in ipairs(#numbers == many and numbers or {}) do
      local most = widest[place] or { whole = 0, fraction = 0 }
      most.whole = math.max(most.whole, number.width)
      most.fraction = math.max(most.fraction, measure(number.fraction))
      widest[place] = most
    end
  end
  for index, numbers in pairs(found) do
    local inlines = pandoc.Inlines({})
    for place, number in ipairs(#numbers == many and numbers or {}) do
      inlines:insert(pandoc.Str(number.between))
      if place > 1 then inlines:insert(pad(widest[place].whole - number.width)) end
      inlines:insert(pandoc.Str(number.whole .. number.fraction))
      inlines:insert(pad(widest[place].fraction - measure(number.fraction)))
    end
    if #inlines > 0 then rows[index].cells[column].contents = { pandoc.Plain(inlines) } end
  end
end

-- About how wide a column is at 8 points, in points, when nothing in it is broken but lines.
local function measure_column(rows, column)
  local longest = 0
  for _, row in ipairs(rows) do
    for word in stringify(row.cells[column].contents):gmatch('%S+') do
      longest = math.max(longest, utf8.len(word))
    end
  end
  return 9 + 3.8 * longest
end

-- In print, columns for which there is no room go on below, behind the first column once more.
local function stack_columns(tbl)
  local head, body = tbl.head.rows[1], tbl.bodies[1].body
  local rows = { head, table.unpack(body) }
  local first = measure_column(rows, 1)
  local bands, width = { {} }, first
  for column = 2, #tbl.colspecs do
    local wide = measure_column(rows, column)
    if width + wide > TEXT and #bands[#bands] > 0 then
      table.insert(bands, {})
      width = first
    end
    width = width + wide
    table.insert(bands[#bands], column)
  end
  if #bands == 1 then return end
  local most = math.ceil((#tbl.colspecs - 1) / #bands) -- about equally many in each
  local function take(row, band)
    local cells = pandoc.List({ row.cells[1] })
    for column = 2 + (band - 1) * most, 1 + band * most do
      cells:insert(row.cells[column] or pandoc.Cell({}))
    end
    return pandoc.Row(cells)
  end
  local stacked = pandoc.List({})
  for band = 1, #bands do
    if band > 1 then
      stacked:insert(take(head, band))
      for _, cell in ipairs(stacked[#stacked].cells) do cell.attributes['typst:stroke'] = '(y: 0.4pt)' end
    end
    for _, row in ipairs(body) do stacked:insert(take(row, band)) end
  end
  tbl.head.rows = pandoc.List({ take(head, 1) })
  tbl.bodies[1].body = stacked
  tbl.colspecs = { table.unpack(tbl.colspecs, 1, most + 1) }
end

-- Without the column widths that pandoc gives a table of long rows: columns are as wide as their contents need.
local function arrange(tbl)
  tbl.colspecs = tbl.colspecs:map(function(spec) return { spec[1], nil } end)
  for column, spec in ipairs(tbl.colspecs) do
    if spec[1] == 'AlignRight' then align_column(tbl.bodies[1].body, column) end
  end
  if #tbl.head.rows > 0 then
    if not html then stack_columns(tbl) end
    group_headings(tbl)
  end
  space_groups(tbl.bodies[1].body)
end

return { arrange = arrange }
