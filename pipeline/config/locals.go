package config

import (
	"slices"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// localSet evaluates local values in the order of their dependencies.
type localSet struct {
	l      *loader
	attrs  map[string]*hcl.Attribute
	values map[string]cty.Value
	done   map[string]bool
	path   []string // being evaluated, outermost first
}

// localValues evaluates the attributes of all locals blocks. One with an error gets an unknown
// value, so that it causes no further ones.
func (l *loader) localValues() {
	s := &localSet{l: l, attrs: make(map[string]*hcl.Attribute), values: make(map[string]cty.Value),
		done: make(map[string]bool)}
	var names []string
	for _, b := range l.locals {
		attrs, diags := b.Body.JustAttributes()
		l.report(diags...)
		for name, a := range attrs {
			if first := s.attrs[name]; first != nil {
				l.report(failure(a.NameRange, "Duplicate local value", "local."+name+" is defined twice.",
					spec.Note{Range: first.NameRange, Text: "first defined here"}))
				continue
			}
			s.attrs[name] = a
			s.values[name] = cty.DynamicVal
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		s.eval(name)
	}
	l.ctx.Variables["local"] = cty.ObjectVal(s.values)
}

func (s *localSet) eval(name string) {
	a := s.attrs[name]
	if a == nil || s.done[name] {
		return
	}
	if i := slices.Index(s.path, name); i >= 0 {
		s.cycle(s.path[i:])
		return
	}
	s.path = append(s.path, name)
	for _, t := range a.Expr.Variables() {
		if t.RootName() != "local" || len(t) < 2 {
			continue
		}
		if step, ok := t[1].(hcl.TraverseAttr); ok {
			s.eval(step.Name)
		}
	}
	s.path = s.path[:len(s.path)-1]
	if s.done[name] {
		return // part of a cycle
	}
	s.done[name] = true
	ctx := s.l.ctx.NewChild()
	ctx.Variables = map[string]cty.Value{"local": cty.ObjectVal(s.values)}
	if bad := spec.CheckScope(name, a.Expr, ctx, nil); bad.HasErrors() {
		s.l.report(bad...)
		return
	}
	v, diags := a.Expr.Value(ctx)
	s.l.report(diags...)
	if !diags.HasErrors() {
		s.values[name] = v
	}
}

// cycle reports local values that need each other, every one with its place.
func (s *localSet) cycle(names []string) {
	var notes []spec.Note
	for i, name := range names {
		s.done[name] = true
		if i > 0 {
			notes = append(notes, spec.Note{Range: s.attrs[name].Range, Text: "local." + name +
				" is needed by local." + names[i-1]})
		}
	}
	last := names[len(names)-1]
	s.l.report(failure(s.attrs[names[0]].Range, "Cycle",
		"local."+names[0]+" needs itself, through local."+last+".", notes...))
}
