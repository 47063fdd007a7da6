// Package registry is a schema registry for tests and demos: the part of the Confluent REST API
// that producers and consumers of Avro use, over plain maps, and it really enforces compatibility.
//
// Invariants: an incompatible schema is never stored; an id, once given to a schema text, keeps
// meaning that text and is never given again; with Config.File what was answered survives a crash.
// It is bounded (schema size, number of schemas) and keeps one lock: it is not meant to be fast.
//
// Neighbours: pipeline/pipetest and cmd/devstack serve it over HTTP.
package registry
