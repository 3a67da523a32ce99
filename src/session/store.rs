//! Sessions at rest.
