//! Lua values to JSON and back, with the conversions that scripts rely on.
//!
//! | Lua | JSON |
//! |---|---|
//! | `nil` | `null`; a key with `null` is left out when parsed |
//! | `1`, `1.0` | `1`, `1.0`: integers stay integers, floats stay floats |
//! | a string that is not UTF-8 | a list of its bytes as numbers |
//! | a table with a border above 0 | the list up to that border; other keys are dropped |
//! | any other table, also an empty one | an object |
//! | userdata with `__pairs` | what a table with those pairs would be |
//! | functions, threads and the like | an error |

mod decode;
mod encode;
mod shape;
mod value;

use std::sync::Arc;

use mlua::{Lua, Table};

pub(crate) use decode::{excerpt, parse_named};
pub use decode::{from_json, parse};
pub use encode::encode;
pub use value::to_json;

/// Tables and documents may be nested this deep. A table that contains itself ends here too.
pub const MAX_DEPTH: usize = 128;

/// Appends finished JSON for the tables it knows, and says of all others that it does not know them.
pub type RawJson = dyn Fn(&Lua, &Table, &mut Vec<u8>) -> bool + Send + Sync;

/// Lets an encoded value stand in for a table that has not been filled yet.
///
/// Set it with `lua.set_app_data(RawJsonHook(..))`. It is asked about every table: [`encode`] writes
/// what it gives verbatim, [`to_json`] parses it. A log record that a script never looked into is
/// encoded this way without ever becoming a Lua table.
pub struct RawJsonHook(pub Arc<RawJson>);

fn raw_json_hook(lua: &Lua) -> Option<Arc<RawJson>> {
    lua.app_data_ref::<RawJsonHook>().map(|hook| Arc::clone(&hook.0))
}

#[cfg(test)]
mod tests;
