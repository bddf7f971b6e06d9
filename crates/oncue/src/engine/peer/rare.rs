//! State that few peers have at any time: the others pay one pointer for it.

/// A value that is made when it is first needed.
#[derive(Default)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T: Default> Rare<T> {
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// The value, made if it is missing.
    pub(crate) fn open(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// Drops the value if it is as good as none.
    pub(crate) fn drop_if(&mut self, is_unused: impl FnOnce(&T) -> bool) {
        if self.get().is_some_and(is_unused) {
            self.0 = None;
        }
    }

    /// The value, which is taken away.
    pub(crate) fn take(&mut self) -> T {
        self.0.take().map_or_else(T::default, |value| *value)
    }
}

impl<T> From<T> for Rare<T> {
    fn from(value: T) -> Rare<T> {
        Rare(Some(Box::new(value)))
    }
}
