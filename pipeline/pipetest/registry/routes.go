package registry

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hamba/avro/v2"
)

func (r *Registry) getSchema(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, _ := strconv.Atoi(req.PathValue("id")) // what is no number is no id either
	s, ok := r.state.Schemas[id]
	if !ok {
		return nil, noSchema()
	}
	return s, nil
}

// use is one place where a schema id is used.
type use struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

func (r *Registry) getUses(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, _ := strconv.Atoi(req.PathValue("id"))
	if _, ok := r.state.Schemas[id]; !ok {
		return nil, noSchema()
	}
	uses := []use{}
	for _, name := range slices.Sorted(maps.Keys(r.state.Subjects)) {
		for _, v := range r.state.Subjects[name].Versions {
			if v.ID == id && !v.Deleted {
				uses = append(uses, use{name, v.Number})
			}
		}
	}
	return uses, nil
}

func (r *Registry) getSubjects(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	prefix := req.URL.Query().Get("subjectPrefix")
	return slices.DeleteFunc(r.names(flag(req, "deleted")), func(s string) bool {
		return !strings.HasPrefix(s, prefix)
	}), nil
}

func (r *Registry) getVersions(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := req.PathValue("subject")
	out := r.numbers(name, flag(req, "deleted"))
	if len(out) == 0 {
		return nil, noSubject(name)
	}
	return out, nil
}

func (r *Registry) getVersion(req *http.Request) (any, error) {
	n, err := number(req)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return result(r.entry(req.PathValue("subject"), n))
}

func (r *Registry) postLookup(req *http.Request) (any, error) {
	s, err := body[Schema](req)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return result(r.lookup(req.PathValue("subject"), s))
}

// result keeps a nil *Fault from becoming an error that is not nil.
func result(e Entry, f *Fault) (any, error) {
	if f != nil {
		return nil, f
	}
	return e, nil
}

func (r *Registry) postVersion(req *http.Request) (any, error) {
	s, err := body[Schema](req)
	if err != nil {
		return nil, err
	}
	id, err := r.Register(req.PathValue("subject"), s)
	return map[string]int{"id": id}, err
}

func (r *Registry) deleteSubject(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.removeSubject(req.PathValue("subject"), flag(req, "permanent"))
}

func (r *Registry) deleteVersion(req *http.Request) (any, error) {
	n, err := number(req)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.removeVersion(req.PathValue("subject"), n)
}

// verdict answers a question about compatibility.
type verdict struct {
	Compatible bool     `json:"is_compatible"`
	Messages   []string `json:"messages,omitempty"`
}

// postCompatibility compares a schema with one version of a subject, or with those that the level
// asks for where none is named.
func (r *Registry) postCompatibility(req *http.Request) (any, error) {
	s, err := body[Schema](req)
	if err != nil {
		return nil, err
	}
	name := req.PathValue("subject")
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := r.parse(s)
	if err != nil {
		return nil, badSchema(err)
	}
	older := r.older(name)
	if req.PathValue("version") != "" {
		n, err := number(req)
		if err != nil {
			return nil, err
		}
		e, fault := r.entry(name, n)
		if fault != nil {
			return nil, fault
		}
		old, err := r.parse(e.Schema)
		if err != nil {
			return nil, badSchema(err)
		}
		older = []avro.Schema{old}
	}
	reasons := compare(r.level(name), next, older)
	v := verdict{Compatible: len(reasons) == 0}
	if flag(req, "verbose") {
		v.Messages = reasons
	}
	return v, nil
}

// The API names the level differently in what it is told and in what it answers to a GET.
type (
	levelSet struct {
		Level Level `json:"compatibility"`
	}
	levelHeld struct {
		Level Level `json:"compatibilityLevel"`
	}
)

func (r *Registry) getConfig(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := req.PathValue("subject")
	if sub := r.state.Subjects[name]; name != "" && (sub == nil || sub.Level == "") && !flag(req, "defaultToGlobal") {
		return nil, noSubjectLevel(name)
	}
	return levelHeld{r.level(name)}, nil
}

func (r *Registry) putConfig(req *http.Request) (any, error) {
	want, err := body[levelSet](req)
	if err != nil {
		return nil, err
	}
	want.Level = Level(strings.ToUpper(string(want.Level)))
	if want.Level == "" {
		return nil, badLevel()
	}
	return want, r.SetLevel(req.PathValue("subject"), want.Level)
}

func (r *Registry) deleteConfig(req *http.Request) (any, error) {
	before, err := r.getConfig(req)
	if err != nil {
		return nil, err
	}
	return before, r.SetLevel(req.PathValue("subject"), "")
}
