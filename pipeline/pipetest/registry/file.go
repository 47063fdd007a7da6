package registry

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// load reads the file where there is one.
func (r *Registry) load() error {
	if r.config.File == "" {
		return nil
	}
	content, err := os.ReadFile(r.config.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(content, &r.state)
}

// save replaces the file, durably. Its error is a *Fault.
func (r *Registry) save() error {
	if r.config.File == "" {
		return nil
	}
	content, err := json.MarshalIndent(&r.state, "", "\t")
	if err == nil {
		err = replace(r.config.File, content)
	}
	if err != nil {
		return storeFailed(err)
	}
	return nil
}

// replace writes a file beside the one named and renames it.
func replace(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".registry-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
