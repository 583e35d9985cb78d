//! What each distribution needs, as data; no process is started here.
