package postgres

import (
	"fmt"
	"path/filepath"
	"strings"
)

// The configuration lies outside the cluster folder: the hub, which may be root, writes nothing into a folder that belongs to
// the child's user. Errors, statements and parameters stay out of the log, since their texts can hold row values; a
// client gets its own errors anyway.
const settings = `# Written by lrshub at each start. Put your own settings into local.conf beside this file.
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
unix_socket_permissions = 0700
hba_file = '%s'
cluster_name = '%s'
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = '256MB'
wal_level = 'replica'
max_wal_size = '2GB'
checkpoint_timeout = '10min'
autovacuum_naptime = '15s'
wal_compression = on
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_destination = 'stderr'
logging_collector = off
log_min_messages = 'log'
log_min_error_statement = 'panic'
log_error_verbosity = 'terse'
log_statement = 'none'
log_min_duration_statement = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_lock_waits = off
log_temp_files = -1
log_checkpoints = off
log_autovacuum_min_duration = -1
`

const testSettings = `fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_connections = 400
`

const hostRules = `# Written by lrshub at each start.
local all all                scram-sha-256
host  all all 127.0.0.1/32   scram-sha-256
`

// socketPathMax is what fits into sockaddr_un, less the name of the socket in the folder.
const socketPathMax = 107 - len("/.s.PGSQL.65535.lock")

func (s *Server) configuration(name string) string { return filepath.Join(s.options.Dir, name) }

func (s *Server) writeConfiguration() error {
	socket := s.data() // mode 0700: only the child's user and root reach the socket
	if len(socket) > socketPathMax {
		socket = ""
	}
	text := fmt.Sprintf(settings, s.port, quote(socket), quote(s.configuration("pg_hba.conf")), clusterName(s.data()))
	if s.options.Test {
		text += testSettings
	}
	text += "include_if_exists '" + quote(s.configuration("local.conf")) + "'\n"
	if err := writeFile(s.configuration("postgresql.conf"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if err := writeFile(s.configuration("pg_hba.conf"), []byte(hostRules), 0o644); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return nil
}

func quote(s string) string { return strings.ReplaceAll(s, "'", "''") }
