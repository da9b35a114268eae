use std::{collections::BTreeMap, time::SystemTime};

use anyhow::{Result, anyhow};
use serde_json::Value;
use stateroom_server_smol::{Claims, SigningKey};

use super::{
    args::{TokenArgs, read_key},
    stdout,
};

/// `stateroom token`: makes a token, and prints it.
pub(crate) fn run(args: TokenArgs) -> Result<()> {
    let key = read_key(&args.key, SigningKey::read)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let mut claims: BTreeMap<String, Value> = BTreeMap::new();
    for (name, value) in args.claims {
        let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
        claims.insert(name, value);
    }
    for (name, values) in [("room", &*args.rooms), ("rooms", &*args.patterns)] {
        let value = match values {
            [] => continue,
            [value] => value.as_str().into(),
            values => values.into(),
        };
        claims.insert(name.to_owned(), value);
    }
    claims.insert("exp".to_owned(), (now + args.expires).as_secs().into());
    args.sub.into_iter().for_each(|subject| _ = claims.insert("sub".to_owned(), subject.into()));
    args.audience.into_iter().for_each(|audience| _ = claims.insert("aud".to_owned(), audience.into()));
    let claims = Claims::from_json(&serde_json::to_string(&claims)?).map_err(|problem| anyhow!(problem))?;
    stdout::say(key.token(&claims));
    Ok(())
}
