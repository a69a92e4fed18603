/* Keeps a library of a folder that has no sources yet linkable. */
typedef int empty_translation_unit;
