-- The policy of `options_tests.rs`.

kumo.on('init', function(what, section)
  local f = kumo
  for part in what:gmatch '[^.]+' do
    f = f[part]
  end
  f(section)
end)

kumo.on('functions', function()
  local names = {}
  for name, value in pairs(kumo) do
    if type(value) == 'function' then
      names[#names + 1] = name
    end
  end
  for name in pairs(kumo.aaa) do
    names[#names + 1] = 'aaa.' .. name
  end
  return names
end)
