package registry

// removeSubject deletes a subject: softly, so that its ids stay known and its numbers are not used
// again, or for good where it was deleted softly before. It returns the version numbers deleted.
func (r *Registry) removeSubject(name string, permanent bool) ([]int, error) {
	live, all := r.numbers(name, false), r.numbers(name, true)
	if permanent {
		if len(live) > 0 {
			return nil, notSoftDeleted(name)
		}
		if len(all) == 0 {
			return nil, noSubject(name)
		}
		delete(r.state.Subjects, name)
		return all, r.save()
	}
	if len(live) == 0 {
		return nil, noSubject(name)
	}
	sub := r.state.Subjects[name]
	for i := range sub.Versions {
		sub.Versions[i].Deleted = true
	}
	sub.Level = ""
	return live, r.save()
}

// removeVersion deletes one version softly; latest is -1. It returns its number.
func (r *Registry) removeVersion(name string, number int) (int, error) {
	v, fault := r.version(name, number)
	if fault != nil {
		return 0, fault
	}
	versions := r.state.Subjects[name].Versions
	for i := range versions {
		if versions[i].Number == v.Number {
			versions[i].Deleted = true
		}
	}
	return v.Number, r.save()
}
