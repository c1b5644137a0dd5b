//! Methods of objects that run outside of Lua.

mod support;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mlua::{Function, IntoLuaMulti};
use support::policy;
use waybill_lua::{Answer, LuaModule, Native, NativeMethod, module};
use waybill_policy::{Args, PolicyError, PolicyHost, Returned};

/// Says what it was given, but asks the script about `odd` and fails at `fail`.
struct Echo;

impl Native for Echo {
    fn call(&self, args: Args) -> BoxFuture<'_, Result<Answer, PolicyError>> {
        async move {
            let text = Returned(args).text()?;
            match text.as_str() {
                "fail" => Err(PolicyError::Failed("it failed".into())),
                "odd" => Ok(Answer::Asks(Box::new(move |lua| text.into_lua_multi(lua)))),
                _ => Ok(Answer::Returned(Returned(vec![format!("native {text}").as_str().into()]))),
            }
        }
        .boxed()
    }
}

fn echo() -> Arc<dyn LuaModule> {
    module("echo", |lua, kumo| {
        let echo = lua.create_function(|_, otherwise: Function| Ok(NativeMethod::new(Arc::new(Echo), otherwise)))?;
        kumo.set("echo", echo)
    })
}

const CONNECTION: &str = "
    kumo.on('make.x', function()
      local asked = 0
      local connection = { send = kumo.echo(function(text)
        asked = asked + 1
        if asked > 1 then kumo.reject(450, 'asked too often') end
        return 'script ' .. text
      end) }
      function connection:close() kumo.closed = true end
      return connection
    end)";

#[tokio::test]
async fn a_native_method_answers_by_itself_and_asks_the_script_for_the_rest() {
    let engine = policy(CONNECTION).module(echo()).build().await.unwrap();
    let mut object = engine.construct("make.x", vec![]).await.unwrap();
    assert!(object.has("send") && object.has("close") && !object.has("send_batch"));
    for (given, answer) in [("a", "native a"), ("odd", "script odd"), ("b", "native b")] {
        assert_eq!(object.invoke("send", vec![given.into()]).await.unwrap().text().unwrap(), answer);
    }
    let error = object.invoke("send", vec!["odd".into()]).await.unwrap_err();
    assert_eq!(error.rejected().map(|rejected| rejected.code), Some(450));
    let error = object.invoke("send", vec!["fail".into()]).await.unwrap_err();
    assert!(matches!(&error, PolicyError::Failed(text) if &**text == "it failed"), "{error}");
    object.close().await.unwrap();
    assert_eq!(engine.state_counts(), (1, 1), "what fails outside of Lua spoils no state");
}

#[tokio::test]
async fn a_method_of_a_class_is_hidden_by_one_of_the_object() {
    let code = "
        kumo.on('make.x', function()
          local class = { send = kumo.echo(function() end) }
          class.__index = class
          return setmetatable({ send = function(_, text) return 'own ' .. text end }, class)
        end)
        kumo.on('make.y', function()
          local class = { send = kumo.echo(function() end) }
          class.__index = class
          return setmetatable({}, class)
        end)";
    let engine = policy(code).module(echo()).build().await.unwrap();
    for (event, answer) in [("make.x", "own a"), ("make.y", "native a")] {
        let mut object = engine.construct(event, vec![]).await.unwrap();
        assert_eq!(object.invoke("send", vec!["a".into()]).await.unwrap().text().unwrap(), answer);
    }
}

#[tokio::test]
async fn a_script_may_put_a_function_of_its_own_around_a_native_method() {
    let code = "
        kumo.on('make.x', function()
          local connection = { send = kumo.echo(function(text)
            if text == 'odd' then kumo.reject(450, 'how odd') end
          end) }
          local send = connection.send
          function connection:send(text)
            if text == 'caught' then
              return tostring(select(2, pcall(send, self, 'fail'))):match '^[^\\n]*'
            end
            return 'around ' .. send(self, text)
          end
          return connection
        end)";
    let engine = policy(code).module(echo()).build().await.unwrap();
    let mut object = engine.construct("make.x", vec![]).await.unwrap();
    for (given, answer) in [("a", "around native a"), ("caught", "it failed")] {
        assert_eq!(object.invoke("send", vec![given.into()]).await.unwrap().text().unwrap(), answer);
    }
    let error = object.invoke("send", vec!["odd".into()]).await.unwrap_err();
    assert_eq!(error.rejected().map(|rejected| rejected.code), Some(450), "{error}");
}
