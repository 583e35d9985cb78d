//! One image's steps in pipeline order; the only caller of the sandbox.

mod event;

pub use self::event::{Event, Observer};
