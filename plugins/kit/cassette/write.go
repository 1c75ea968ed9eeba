package cassette

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// ExchangeFile is the file that Write makes.
const ExchangeFile = "exchanges.jsonl"

// Write writes a recording to a folder that holds none yet.
func Write(dir string, head Head, s *Scrubbed) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	head.Cassette = 1
	if err := encoder.Encode(head); err != nil {
		return err
	}
	for _, e := range s.Exchanges {
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	var config bytes.Buffer
	if err := json.Indent(&config, s.Config, "", "  "); err != nil {
		return fmt.Errorf("%w: the configuration is not JSON", ErrFormat)
	}
	config.WriteByte('\n')
	for name, content := range map[string][]byte{ConfigFile: config.Bytes(), ExchangeFile: text.Bytes()} {
		if err := writeNew(filepath.Join(dir, name), content); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes a file that must not be there: a recording that somebody mended by hand is not overwritten.
func writeNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("%w; record into a new folder, or remove the old recording", err)
	}
	if _, err := file.Write(content); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
