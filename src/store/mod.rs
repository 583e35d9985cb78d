//! Layers, packages and repository metadata by key, safe under concurrent builds and kill -9.
