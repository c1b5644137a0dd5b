//! Lists of messages.

use mlua::{Function, Lua, MultiValue, Table, Value as Lv};
use waybill_spool::Message;

use crate::message::MessageObject;

/// So many values are passed to Lua at a time.
const AT_ONCE: usize = 256;

/// What makes a list of values or puts them behind one, kept by each state.
#[derive(Clone)]
struct Append(Function);

/// A list of message objects.
///
/// Lua puts them into the table. As a state has a memory limit, whatever may need memory is a protected call where it is
/// done from outside, for each entry of a list.
pub(super) fn list(lua: &Lua, messages: Vec<Message>) -> mlua::Result<Table> {
    let Append(append) = append(lua)?;
    let mut list = Lv::Nil;
    let mut messages = messages.into_iter();
    loop {
        let mut args = MultiValue::with_capacity(AT_ONCE.min(messages.len()) + 1);
        args.push_back(list);
        for message in messages.by_ref().take(AT_ONCE) {
            args.push_back(Lv::UserData(lua.create_userdata(MessageObject::new(message))?));
        }
        let longer: Table = append.call(args)?;
        if messages.len() == 0 {
            return Ok(longer);
        }
        list = Lv::Table(longer);
    }
}

fn append(lua: &Lua) -> mlua::Result<Append> {
    if let Some(known) = lua.app_data_ref::<Append>() {
        return Ok(known.clone());
    }
    // Without functions of the library: a script may have others in their place.
    let code = "return function(list, ...)
          local more = { ... }
          if not list then
            return more
          end
          local length = #list
          for at = 1, #more do
            list[length + at] = more[at]
          end
          return list
        end";
    let made = Append(lua.load(code).set_name("=[policy]").eval()?);
    lua.set_app_data(made.clone());
    Ok(made)
}

/// The messages of a list that holds nothing else.
pub(super) fn of(table: &Table) -> Option<Vec<Message>> {
    let len = table.raw_len();
    if len == 0 {
        return None;
    }
    (1..=len)
        .map(|index| {
            let Ok(Lv::UserData(object)) = table.raw_get(index) else { return None };
            object.borrow::<MessageObject>().ok().map(|message| message.message().clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::bare_state_for_tests;
    use waybill_types::{IdMint, Timestamp};

    #[test]
    fn a_list_comes_out_as_it_went_in_however_long_it_is() {
        let lua = bare_state_for_tests();
        let mint = IdMint::random();
        for len in [0, 1, AT_ONCE, 2 * AT_ONCE + 1] {
            let id = || mint.message(Timestamp::from_secs(1_700_000_000));
            let to = || vec!["b@y.example".parse().unwrap()];
            let mail = || Message::new(id(), "a@x.example".parse().unwrap(), to(), "x".into());
            let messages: Vec<Message> = (0..len).map(|_| mail()).collect();
            let ids = |messages: &[Message]| messages.iter().map(Message::id).collect::<Vec<_>>();
            let table = list(&lua, messages.clone()).unwrap();
            assert_eq!(table.raw_len(), len);
            assert_eq!(ids(&of(&table).unwrap_or_default()), ids(&messages));
        }
    }
}
