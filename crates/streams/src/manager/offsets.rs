use super::{Streams, stored, wanted};
use waybill_streams_core::{Code, Error, Id, Kind, OffsetCreate, OffsetUpdate, StoredOffset};

impl Streams {
    pub(crate) async fn offsets(&self, metadata: Option<&str>) -> Result<Vec<StoredOffset>, Error> {
        let all = stored(self.0.registry.offsets().await)?;
        let meant = |offset: &StoredOffset| self.sees(offset.log_id) && wanted(&offset.metadata, metadata);
        Ok(all.into_iter().filter(meant).collect())
    }

    pub(crate) async fn offset(&self, id: Id) -> Result<StoredOffset, Error> {
        let missing = || Error::new(Code::OffsetNotFound, format!("there is no offset {id}"));
        self.0.registry.offset(id).await?.filter(|offset| self.sees(offset.log_id)).ok_or_else(missing)
    }

    pub(crate) async fn create_offset(&self, create: OffsetCreate) -> Result<StoredOffset, Error> {
        let streams = self.clone();
        self.to_its_end("making an offset", async move {
            let _changing = streams.0.changing.lock().await;
            let log = create.log()?;
            if streams.source(log).is_none() {
                let why = format!("log_id: there is no log {log}");
                return Err(Error::new(Code::OffsetLogIdFieldInvalid, why));
            }
            let most = streams.0.limits.offsets;
            if stored(streams.0.registry.offsets().await)?.len() >= most {
                let why = format!("there are {most} offsets, which is as many as may be");
                return Err(Error::new(Code::OffsetCountLimited, why));
            }
            let offset = create.offset(streams.mint(Kind::Offset), log, &streams.0.limits)?;
            stored(streams.0.registry.set_offset(&offset).await)?;
            Ok(offset)
        })
        .await
    }

    pub(crate) async fn update_offset(&self, id: Id, update: OffsetUpdate) -> Result<StoredOffset, Error> {
        let streams = self.clone();
        self.to_its_end("changing an offset", async move {
            let _changing = streams.0.changing.lock().await;
            let offset = update.apply(&streams.offset(id).await?, &streams.0.limits)?;
            stored(streams.0.registry.set_offset(&offset).await)?;
            Ok(offset)
        })
        .await
    }

    pub(crate) async fn delete_offset(&self, id: Id) -> Result<StoredOffset, Error> {
        let streams = self.clone();
        self.to_its_end("deleting an offset", async move {
            let _changing = streams.0.changing.lock().await;
            let offset = streams.offset(id).await?;
            stored(streams.0.registry.delete_offset(id).await)?;
            Ok(offset)
        })
        .await
    }
}
