//! The part object.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use mlua::{AnyUserData, Lua, LuaString, MetaMethod, Table, UserData, UserDataFields, UserDataMethods, UserDataRef};
use parking_lot::Mutex;
use waybill_mime::{Error, Found, Part, Path};

use super::headers::HeadersObject;
use crate::error::raise;

/// A place in a message. Objects of one message share it: what is changed through one of them is seen by all.
#[derive(Clone)]
pub(crate) struct PartObject {
    root: Arc<Mutex<Part>>,
    path: Path,
}

impl PartObject {
    pub(crate) fn new(part: Part) -> PartObject {
        PartObject { root: Arc::new(Mutex::new(part)), path: Path::new() }
    }

    /// The message `data`, taken apart.
    pub(crate) fn parse(data: &Bytes) -> mlua::Result<PartObject> {
        Part::parse(data.clone()).map(PartObject::new).map_err(|error| raise(format!("msg:parse_mime: {error}")))
    }

    fn at(&self, path: &Path) -> PartObject {
        PartObject { root: self.root.clone(), path: [&self.path[..], path].concat() }
    }

    /// Looks at the part.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Part) -> Result<T, Error>) -> mlua::Result<T> {
        let root = self.root.lock();
        root.get(&self.path).ok_or(Error::Gone).and_then(look).map_err(told)
    }

    /// Changes the part.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Part) -> Result<T, Error>) -> mlua::Result<T> {
        let mut root = self.root.lock();
        root.get_mut(&self.path).ok_or(Error::Gone).and_then(change).map_err(told)
    }

    /// The part with all that is below it, as it is now and out of its message.
    pub(super) fn copy(&self) -> mlua::Result<Part> {
        self.read(|part| Ok(part.clone()))
    }

    fn set_body(&self, content: &LuaString, kind: Option<&str>) -> mlua::Result<()> {
        self.root.lock().set_body_at(&self.path, &content.as_bytes(), kind).map_err(told)
    }

    fn append(&self, part: Part) -> mlua::Result<()> {
        let mut root = self.root.lock();
        // The whole message is to stay within its bounds, wherever in it the part comes to be.
        let (levels, parts) = (self.path.len() + 1 + part.height(), root.count() + part.count());
        if levels > waybill_mime::MAX_DEPTH {
            return Err(told(Error::TooDeep));
        }
        if parts > waybill_mime::MAX_PARTS {
            return Err(told(Error::TooManyParts));
        }
        root.get_mut(&self.path).ok_or(Error::Gone).and_then(|here| here.append(part)).map_err(told)
    }

    /// The flat view, as a table.
    fn structure(&self, lua: &Lua) -> mlua::Result<Table> {
        let structure = self.read(|part| Ok(part.structure()))?;
        let table = lua.create_table()?;
        for (name, path) in [
            ("text_part", structure.text.as_ref()),
            ("html_part", structure.html.as_ref()),
            ("amp_html_part", structure.amp_html.as_ref()),
        ] {
            table.raw_set(name, path.map(|path| self.at(path)))?;
        }
        table.raw_set("header_part", self.clone())?;
        let attachments = structure.attachments.iter().map(|found| self.attachment(lua, found));
        table.raw_set("attachments", lua.create_sequence_from(attachments.collect::<mlua::Result<Vec<_>>>()?)?)?;
        Ok(table)
    }

    fn attachment(&self, lua: &Lua, found: &Found) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.raw_set("file_name", found.file_name.as_deref())?;
        table.raw_set("inline", found.inline)?;
        table.raw_set("content_id", found.content_id.as_deref())?;
        table.raw_set("content_type", found.content_type.as_str())?;
        table.raw_set("part", self.at(&found.path))?;
        Ok(table)
    }

    /// `0` for the whole message, `0.2` for the second part in it.
    fn id(&self) -> String {
        self.path.iter().fold("0".to_owned(), |id, at| format!("{id}.{}", at + 1))
    }
}

fn told(error: Error) -> mlua::Error {
    raise(format!("mimepart: {error}"))
}

impl UserData for PartObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("body", |lua, this| {
            let body = this.read(|part| part.body().map(Cow::into_owned))?;
            lua.create_string(body)
        });
        fields.add_field_method_set("body", |_, this, content: LuaString| this.set_body(&content, None));
        fields.add_field_method_get("headers", |_, this| Ok(HeadersObject(this.clone())));
        fields.add_field_method_get("id", |_, this| Ok(this.id()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get_simple_structure", |lua, this, ()| this.structure(lua));
        methods.add_method("replace_body", |_, this, (content, kind): (LuaString, Option<String>)| {
            this.set_body(&content, kind.as_deref())
        });
        methods.add_method("append_part", |_, this, part: UserDataRef<PartObject>| this.append(part.copy()?));
        methods.add_method("rebuild", |_, this, ()| this.read(Part::rebuild).map(PartObject::new));
        methods.add_meta_method(MetaMethod::ToString, |lua, this, ()| lua.create_string(this.read(Part::to_bytes)?));
        methods.add_meta_method(MetaMethod::Eq, |_, this, other: AnyUserData| {
            let same = |other: &PartObject| Arc::ptr_eq(&this.root, &other.root) && this.path == other.path;
            Ok(other.borrow::<PartObject>().is_ok_and(|other| same(&other)))
        });
    }
}
