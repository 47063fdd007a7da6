// Package style holds the habits of this project that a program can check: who imports whom, how
// long files and functions may be, what has to be documented, what is not written at all. Its tests
// print every violation in the module at once.
//
// Neighbours: none; it reads the source of all other packages.
package style
