package transforms

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// RouteCase is one case of transform "route".
type RouteCase struct {
	Tables []string
	Match  string
	Where  spec.Expr
	Target spec.Template
}

// Route is the configuration of transform "route".
type Route struct {
	Tables    []string
	Target    spec.Template
	Cases     []*RouteCase
	Unmatched string
	OnMove    string
}

// Renames reports that tables get targets; see spec.Renamer.
func (c *Route) Renames() bool { return true }

// Spec describes the block.
func (c *Route) Spec(b *spec.Block) {
	b.Doc("Says where rows go: it sets table.target, which a sink's topic, index or into may use. " +
		"Of the cases the first that holds counts.")
	tablesAttr(b, &c.Tables)
	spec.Attr(b, "target", &c.Target).Doc("The target of the rows that no case " +
		"takes.").Example(`"all_${table.name}"`)
	spec.Blocks(b, "case", nil, &c.Cases, func(b *spec.Block, t *RouteCase, _ []string) {
		b.Doc("One way: all conditions that are set must hold.")
		spec.Attr(b, "tables", &t.Tables).Doc("Patterns of the tables it takes.").Example(`["shop.*"]`)
		spec.Attr(b, "match", &t.Match).
			Doc("A regular expression over the whole of \"schema.table\" (MariaDB: \"database.table\").").
			Example(`"xchange_trading\\.(.*)"`)
		spec.Attr(b, "where", &t.Where).Doc("A condition on the row.").Example(`row.region == "eu"`)
		spec.Attr(b, "target", &t.Target).Required().
			Doc("The target; $1 stands for the first group of match.").Example(`"trading_$1"`)
	})
	a := spec.Attr(b, "unmatched", &c.Unmatched).OneOf("keep", "drop", "fail").
		Doc("What happens to rows that no case takes when there is no target: they go on as they are, " +
			"vanish, or stop the pipeline.")
	spec.Default(a, &c.Unmatched, "keep")
	a = spec.Attr(b, "on_move", &c.OnMove).OneOf("fail", "follow").
		Doc("What happens when an update moves a row to another target, or may: stop, or write the update " +
			"to the new target " +
			"and leave the old row where it is.")
	spec.Default(a, &c.OnMove, "fail")
	b.Check(c.check)
	b.Example = "transform \"route\" \"eu\" {\n  from = source.shop\n\n  case {\n    match  = " +
		"\"xchange_trading\\\\.(.*)\"\n" +
		"    target = \"trading_$1\"\n  }\n}\n"
}

func (c *Route) check(p *spec.Problems) {
	checkTables(p, c.Tables)
	if len(c.Cases) == 0 && !c.Target.IsSet() {
		p.Error("", "Nothing to route", "Set target, or add a case.")
	}
	for _, t := range c.Cases {
		checkTables(p, t.Tables)
		if _, err := regexp.Compile(t.Match); err != nil {
			p.Error("", "Wrong pattern", fmt.Sprintf("match = %q is not a regular expression: %v.", t.Match, err))
		}
	}
}

// Open builds the transform.
func (c *Route) Open(env spec.Env) (pipeline.Transform, error) {
	s, err := newScope(env, c.Tables)
	if err != nil {
		return nil, err
	}
	t := &route{scope: s, config: c}
	for _, one := range c.Cases {
		w := way{config: one}
		if w.tables, err = match.New(one.Tables); err != nil {
			return nil, s.wrong("", fmt.Errorf("case: tables: %w", err), "")
		}
		if w.match, err = regexp.Compile("^(?:" + one.Match + ")$"); err != nil {
			return nil, s.wrong("", fmt.Errorf("case: match: %w", err), "")
		}
		t.ways = append(t.ways, w)
	}
	return t, nil
}

type route struct {
	scope
	config *Route
	ways   []way
}

// way is a case, compiled.
type way struct {
	config *RouteCase
	tables *match.Set
	match  *regexp.Regexp
}

// target returns where the case sends rows of a table; false where it does not take the table.
func (w *way) target(in *pipeline.Schema) (string, bool, error) {
	if w.tables.Len() > 0 && w.tables.Index(in.Database, in.Namespace, in.Table) < 0 {
		return "", false, nil
	}
	var groups []string
	if w.config.Match != "" {
		if groups = w.match.FindStringSubmatch(in.Name()); groups == nil {
			return "", false, nil
		}
	}
	text, err := w.config.Target.Text(in)
	if err != nil {
		return "", false, err
	}
	return expand(text, groups), true, nil
}

// expand replaces $0 to $9 by groups; unlike regexp's own it takes one digit, so that "$1_x" works.
func expand(text string, groups []string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) || int(text[i+1])-'0' < 0 || int(text[i+1])-'0' >= len(groups) {
			b.WriteByte(text[i])
			continue
		}
		i++
		b.WriteString(groups[text[i]-'0'])
	}
	return b.String()
}

// choice is a case that takes rows of a bound table.
type choice struct {
	where  *expr.Program // nil: all rows
	schema *pipeline.Schema
	keyed  bool
}

// Bind finds the cases that take the table.
func (t *route) Bind(in *pipeline.Schema) (*pipeline.Schema, pipeline.Func, error) {
	if !t.covers(in) {
		return in, nil, nil
	}
	b := &boundRoute{route: t, in: in}
	for i := range t.ways {
		done, err := b.add(&t.ways[i])
		if err != nil {
			return nil, nil, err
		}
		if done {
			break
		}
	}
	if err := b.fallback(); err != nil {
		return nil, nil, err
	}
	if first := b.choices[0]; first.where == nil && (first.schema != nil || t.config.Unmatched == "drop") {
		return first.schema, nil, nil
	}
	return in, b.row, nil
}

type boundRoute struct {
	*route
	in      *pipeline.Schema
	choices []choice // the last takes every row; without a schema it is unmatched
	vars    expr.Vars
}

// add appends the case where it takes the table; done says that no later one can be reached.
func (b *boundRoute) add(w *way) (done bool, err error) {
	target, ok, err := w.target(b.in)
	if err != nil {
		return false, b.wrong(b.in.Name(), err, "")
	}
	if !ok {
		return false, nil
	}
	c := choice{schema: retarget(b.in, target)}
	if w.config.Where.IsSet() {
		if c.where, err = b.condition(w.config.Where, b.in); err != nil {
			return false, err
		}
		if c.where.UsesOld() || c.where.UsesOp() {
			return false, b.wrong(b.in.Name(), errors.New("where of a case uses old or op"),
				"A row's target may depend on its columns only.")
		}
		c.keyed = keyOnly(b.in, c.where.Columns())
	}
	b.choices = append(b.choices, c)
	return c.where == nil, nil
}

// fallback appends what happens to rows that no case takes.
func (b *boundRoute) fallback() error {
	if n := len(b.choices); n > 0 && b.choices[n-1].where == nil {
		return nil
	}
	c := choice{}
	switch {
	case b.config.Target.IsSet():
		text, err := b.config.Target.Text(b.in)
		if err != nil {
			return b.wrong(b.in.Name(), err, "")
		}
		c.schema = retarget(b.in, text)
	case b.config.Unmatched == "keep":
		c.schema = b.in
	}
	b.choices = append(b.choices, c)
	return nil
}

func retarget(in *pipeline.Schema, target string) *pipeline.Schema {
	out := *in
	out.Target = target
	return &out
}

func (b *boundRoute) row(_ *pipeline.Arena, r *pipeline.Row) (bool, error) {
	if r.Op == pipeline.Message {
		return true, nil
	}
	if r.Op == pipeline.Truncate {
		return b.truncate(r)
	}
	i, err := b.choose(r, r.Key(), r.Before)
	if err != nil {
		return false, b.failed(b.in, r, err, absentHint(err))
	}
	if r.Op == pipeline.Update {
		if err := b.moved(r, i); err != nil {
			return false, err
		}
	}
	return b.send(r, i)
}

func (b *boundRoute) send(r *pipeline.Row, i int) (bool, error) {
	if b.choices[i].schema == nil {
		if b.config.Unmatched == "drop" {
			return false, nil
		}
		return false, b.failed(b.in, r, errors.New("no case takes the row"),
			"Add a case, or set unmatched to \"keep\" or \"drop\".")
	}
	r.Schema = b.choices[i].schema
	return true, nil
}

// choose returns the first choice that takes the image.
func (b *boundRoute) choose(r *pipeline.Row, values, before []pipeline.Value) (int, error) {
	b.vars.Row, b.vars.New, b.vars.Old = r, values, before
	for i := range b.choices {
		if b.choices[i].where == nil {
			return i, nil
		}
		ok, err := b.choices[i].where.Match(&b.vars)
		if ok || err != nil {
			return i, err
		}
	}
	return len(b.choices) - 1, nil
}

// moved fails where an update moves a row to another target, unless that is allowed.
func (b *boundRoute) moved(r *pipeline.Row, to int) error {
	if b.config.OnMove == "follow" || r.Before == nil && b.keyed() {
		return nil
	}
	if r.Before == nil {
		return b.failed(b.in, r, errors.New("it is not known which target has the row"), identityHint)
	}
	from, err := b.choose(r, r.Before, nil)
	if err != nil {
		return b.failed(b.in, r, fmt.Errorf("it is not known which target has the row: %w", err), absentHint(err))
	}
	if from == to {
		return nil
	}
	return b.failed(b.in, r, fmt.Errorf("the update moves the row from %s to %s", b.name(from), b.name(to)),
		"Set on_move = \"follow\" to leave the old row where it is, or route by columns that do not change.")
}

func (b *boundRoute) name(i int) string {
	if b.choices[i].schema == nil {
		return "nowhere"
	}
	if t := b.choices[i].schema.Target; t != "" {
		return t
	}
	return b.in.Name()
}

// keyed reports whether only the key decides.
func (b *boundRoute) keyed() bool {
	for i := range b.choices {
		if b.choices[i].where != nil && !b.choices[i].keyed {
			return false
		}
	}
	return true
}

// truncate passes where there is one target.
func (b *boundRoute) truncate(r *pipeline.Row) (bool, error) {
	if len(b.choices) == 1 {
		return b.send(r, 0)
	}
	if r.Note() {
		return false, nil // it has no one target; rows with a key are written over by the new snapshot
	}
	return false, b.failed(b.in, r, errors.New("a TRUNCATE of a table whose rows go to several targets"),
		"Truncate the targets by hand, and leave truncates out: ALTER PUBLICATION ... SET (publish = "+
			"'insert, update, delete')")
}
