//! Configuration files and the command line become one `Recipe` an image.
