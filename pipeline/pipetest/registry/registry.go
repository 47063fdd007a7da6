package registry

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hamba/avro/v2"
)

// maxSchemas bounds the schemas that are stored.
const maxSchemas = 100_000

// Config says how a registry behaves. The zero value is one in memory that everybody may use.
type Config struct {
	User, Password string // HTTP basic authentication; User "": none
	File           string // JSON file that keeps the state; "": in memory
	Level          Level  // global level where the file has none; "": BACKWARD
}

// Registry is a schema registry and the http.Handler of its API. Safe for concurrent use.
type Registry struct {
	config Config
	mu     sync.Mutex
	state  state // guarded by mu, like all unexported methods
}

// state is what a registry knows, as it is kept in the file.
type state struct {
	LastID   int
	Level    Level
	Schemas  map[int]Schema
	Subjects map[string]*subject
}

type subject struct {
	Level    Level `json:",omitempty"` // "": the global one
	Versions []version
}

type version struct {
	Number, ID int
	Deleted    bool `json:",omitempty"`
}

// Entry is one version of a subject.
type Entry struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int    `json:"id"`
	Schema
}

// New returns a registry with what its file holds.
func New(c Config) (*Registry, error) {
	if c.Level == "" {
		c.Level = Backward
	}
	if !c.Level.valid() {
		return nil, badLevel()
	}
	r := &Registry{config: c, state: state{
		Level: c.Level, Schemas: map[int]Schema{}, Subjects: map[string]*subject{},
	}}
	if err := r.load(); err != nil {
		return nil, fmt.Errorf("schema registry file %s: %w", c.File, err)
	}
	return r, nil
}

// Register stores a schema as a subject's next version and returns its id; a schema that the subject
// has already keeps its version and id. Errors are *Fault: 409 where it is incompatible.
func (r *Registry) Register(name string, s Schema) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	parsed, err := r.parse(s)
	if err != nil {
		return 0, badSchema(err)
	}
	if e, fault := r.lookup(name, s); fault == nil {
		return e.ID, nil
	}
	if reasons := compare(r.level(name), parsed, r.older(name)); len(reasons) > 0 {
		return 0, incompatible(name, reasons)
	}
	id := r.idOf(s)
	if id == 0 {
		if len(r.state.Schemas) >= maxSchemas {
			return 0, storeFailed(fmt.Errorf("more than %d schemas", maxSchemas))
		}
		r.state.LastID++
		id = r.state.LastID
		r.state.Schemas[id] = s
	}
	sub := r.ensure(name)
	next := 1
	if n := len(sub.Versions); n > 0 {
		next = sub.Versions[n-1].Number + 1
	}
	sub.Versions = append(sub.Versions, version{Number: next, ID: id})
	return id, r.save()
}

// SetLevel sets the compatibility level of a subject, or the global one where name is "". An empty
// level makes the subject follow the global one again.
func (r *Registry) SetLevel(name string, l Level) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l != "" && !l.valid() {
		return badLevel()
	}
	switch {
	case name != "":
		r.ensure(name).Level = l
	case l == "":
		r.state.Level = r.config.Level
	default:
		r.state.Level = l
	}
	return r.save()
}

// Subjects returns the names of the subjects that have a version, sorted.
func (r *Registry) Subjects() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.names(false)
}

func (r *Registry) names(deleted bool) []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(r.state.Subjects)) {
		if len(r.numbers(name, deleted)) > 0 {
			out = append(out, name)
		}
	}
	return out
}

// numbers returns a subject's versions, with the deleted ones where asked.
func (r *Registry) numbers(name string, deleted bool) []int {
	var out []int
	if sub := r.state.Subjects[name]; sub != nil {
		for _, v := range sub.Versions {
			if deleted || !v.Deleted {
				out = append(out, v.Number)
			}
		}
	}
	return out
}

func (r *Registry) ensure(name string) *subject {
	if r.state.Subjects[name] == nil {
		r.state.Subjects[name] = &subject{}
	}
	return r.state.Subjects[name]
}

// level returns the level that applies to a subject.
func (r *Registry) level(name string) Level {
	if sub := r.state.Subjects[name]; sub != nil && sub.Level != "" {
		return sub.Level
	}
	return r.state.Level
}

// older returns a subject's schemas that are not deleted, oldest first.
func (r *Registry) older(name string) []avro.Schema {
	var out []avro.Schema
	for _, n := range r.numbers(name, false) {
		v, fault := r.version(name, n)
		if fault != nil {
			continue
		}
		if s, err := r.parse(r.state.Schemas[v.ID]); err == nil { // it parsed when it came
			out = append(out, s)
		}
	}
	return out
}

// version returns a subject's version; latest is -1.
func (r *Registry) version(name string, number int) (version, *Fault) {
	live := r.numbers(name, false)
	if len(live) == 0 {
		return version{}, noSubject(name)
	}
	if number == -1 {
		number = live[len(live)-1]
	}
	for _, v := range r.state.Subjects[name].Versions {
		if v.Number == number && !v.Deleted {
			return v, nil
		}
	}
	return version{}, noVersion(number)
}

func (r *Registry) entry(name string, number int) (Entry, *Fault) {
	v, fault := r.version(name, number)
	if fault != nil {
		return Entry{}, fault
	}
	return Entry{Subject: name, Version: v.Number, ID: v.ID, Schema: r.state.Schemas[v.ID]}, nil
}

// lookup finds the version of a subject that has the schema.
func (r *Registry) lookup(name string, s Schema) (Entry, *Fault) {
	live := r.numbers(name, false)
	if len(live) == 0 {
		return Entry{}, noSubject(name)
	}
	for _, n := range live {
		if e, fault := r.entry(name, n); fault == nil && e.identity() == s.identity() {
			return e, nil
		}
	}
	return Entry{}, noSchema()
}

// idOf returns the id of a schema that is known in whatever subject, or 0.
func (r *Registry) idOf(s Schema) int {
	want := s.identity()
	for id, known := range r.state.Schemas {
		if known.identity() == want {
			return id
		}
	}
	return 0
}
