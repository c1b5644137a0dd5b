//! Methods of a policy's objects that run outside of Lua.
//!
//! A script gives its object one of these as a field where the work is the daemon's anyway: `connection.send` of a hook
//! that posts events, say. Entering Lua for that costs more than the work. What the method cannot answer by itself it
//! hands to a function of the script.

use futures::future::BoxFuture;
use mlua::{FromLua, Function, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, UserDataRef, Value};
use std::sync::Arc;
use waybill_policy::{Args, PolicyError, Returned};

use crate::convert;
use crate::error::lua_error;

/// Work of a method.
///
/// # Contract
/// Calls may run side by side. Dropping the future stops the call. It never enters Lua: the state of its object may be
/// busy, or gone.
pub trait Native: Send + Sync + 'static {
    /// One call, with the arguments behind the object.
    fn call(&self, args: Args) -> BoxFuture<'_, Result<Answer, PolicyError>>;
}

/// What a method came to.
pub enum Answer {
    /// This is what the script's caller gets.
    Returned(Returned),
    /// The script has to look at it: its function is called with these values, and its results are the method's.
    Asks(Values),
}

/// Makes arguments in the state that they are for.
pub type Values = Box<dyn FnOnce(&Lua) -> mlua::Result<MultiValue> + Send>;

/// What a script puts into its object in the place of a function.
#[derive(Clone)]
pub struct NativeMethod {
    pub(crate) native: Arc<dyn Native>,
    /// Called for what the method leaves to the script.
    pub(crate) otherwise: Function,
}

impl NativeMethod {
    /// A method with the script's function for everything else.
    pub fn new(native: Arc<dyn Native>, otherwise: Function) -> Self {
        NativeMethod { native, otherwise }
    }

    async fn called(&self, lua: &Lua, args: &MultiValue) -> mlua::Result<MultiValue> {
        let Returned(args) = convert::returned(lua, args).map_err(lua_error)?;
        match self.native.call(args).await.map_err(lua_error)? {
            Answer::Returned(Returned(values)) => convert::args_to_lua(lua, values),
            Answer::Asks(values) => self.otherwise.call_async(values(lua)?).await,
        }
    }
}

impl UserData for NativeMethod {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // A script that puts a function of its own around a method calls it as the function that it stands for.
        type Called = (Value, MultiValue);
        methods.add_async_meta_method(MetaMethod::Call, |lua, this, (_object, args): Called| async move {
            let method = this.clone();
            drop(this);
            method.called(&lua, &args).await
        });
    }
}

impl FromLua for NativeMethod {
    fn from_lua(value: Value, lua: &Lua) -> mlua::Result<Self> {
        UserDataRef::<NativeMethod>::from_lua(value, lua).map(|method| method.clone())
    }
}
