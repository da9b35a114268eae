use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Values that the program shows to pages: each has a name, and pages learn when it changes. Clones share the values.
///
/// ```
/// use stateroom_server_smol::Notices;
///
/// let notices = Notices::default();
/// // Pages that listen to `/_/events` get an event of this name, with this line as its data.
/// notices.set("build", r#"{"state":"building"}"#);
/// ```
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    values: BTreeMap<String, String>,
    receivers: Vec<Box<dyn NoticeReceiver>>,
}

/// A receiver of values.
pub(crate) trait NoticeReceiver: Send {
    /// Takes a value.
    fn receive(&mut self, name: &str, value: &str);

    /// Returns whether it is gone, and is to be told nothing more.
    fn is_gone(&self) -> bool;
}

impl Notices {
    /// Sets a value, and tells it to all pages that listen. The same value again is not told.
    ///
    /// # Panics
    /// The name is not of letters, digits, `-` and `_`.
    pub fn set(&self, name: &str, value: &str) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(is_plain), "{name:?} cannot be the name of a notice");
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.values.insert(name.to_owned(), value.to_owned()).as_deref() == Some(value) {
            return;
        }
        inner.receivers.retain_mut(|receiver| {
            receiver.receive(name, value);
            !receiver.is_gone()
        });
    }

    /// Tells the present values, and then each change.
    pub(crate) fn subscribe(&self, mut receiver: impl NoticeReceiver + 'static) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.values.iter().for_each(|(name, value)| receiver.receive(name, value));
        // There may be no change for days, and pages come and go.
        inner.receivers.retain(|other| !other.is_gone());
        inner.receivers.push(Box::new(receiver));
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Notices").field("values", &inner.values).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<String>>>);

    impl Page {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl NoticeReceiver for Page {
        fn receive(&mut self, name: &str, value: &str) {
            self.0.lock().unwrap().push(format!("{name} {value}"));
        }

        fn is_gone(&self) -> bool {
            self.0.lock().unwrap().iter().any(|heard| heard.ends_with("leave"))
        }
    }

    #[test]
    fn a_page_hears_what_is_and_then_what_changes() {
        let notices = Notices::default();
        notices.set("a", "1");
        notices.clone().set("b", "2");
        let page = Page::default();
        notices.subscribe(page.clone());
        assert_eq!(page.take(), ["a 1", "b 2"]);
        notices.set("a", "1");
        notices.set("a", "3");
        assert_eq!(page.take(), ["a 3"]);
        notices.set("b", "leave");
        assert!(notices.0.lock().unwrap().receivers.is_empty());
    }
}
