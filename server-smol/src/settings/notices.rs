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
    listeners: Vec<Box<dyn Listener>>,
}

/// A receiver of values.
pub(crate) trait Listener: Send {
    /// Takes a value.
    fn hear(&mut self, name: &str, value: &str);

    /// Returns whether it is gone, and is to be told nothing more.
    fn is_gone(&self) -> bool;
}

impl Notices {
    /// Sets a value, and tells it to all pages that listen. The same value again is not told.
    pub fn set(&self, name: &str, value: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.values.insert(name.to_owned(), value.to_owned()).as_deref() == Some(value) {
            return;
        }
        inner.listeners.retain_mut(|listener| {
            listener.hear(name, value);
            !listener.is_gone()
        });
    }

    /// Tells the present values, and then each change.
    pub(crate) fn subscribe(&self, mut listener: impl Listener + 'static) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.values.iter().for_each(|(name, value)| listener.hear(name, value));
        // There may be no change for days, and pages come and go.
        inner.listeners.retain(|other| !other.is_gone());
        inner.listeners.push(Box::new(listener));
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

    impl Listener for Page {
        fn hear(&mut self, name: &str, value: &str) {
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
        assert!(notices.0.lock().unwrap().listeners.is_empty());
    }
}
