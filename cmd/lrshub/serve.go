package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/database"
)

// needs are the environment variables that no production command can do without.
var needs = []string{"LRSHUB_DATABASE_URL", "LRSHUB_KEYS_DIR", "LRSHUB_AUDIT_DIR", "LRSHUB_PUBLIC_URL"}

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "serve",
		Short:   "Answer requests, with an external Postgres and Temporal; any number of them",
		Long:    "Answer requests, with an external Postgres and Temporal; any number of them.\n\nEnvironment:\n" + environmentHelp(),
		Example: `  LRSHUB_DATABASE_URL=postgres://lrshub:…@db/lrshub LRSHUB_KEYS_DIR=/keys LRSHUB_AUDIT_DIR=/audit LRSHUB_PUBLIC_URL=https://hub.example.org lrshub serve`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := fromEnvironment(needs...)
			if err != nil {
				return err
			}
			listener, err := listen(s.Listen)
			if err != nil {
				return err
			}
			defer listener.Close()
			r, err := openRooms(c.Context(), s)
			if err != nil {
				return err
			}
			defer r.close()
			p := &process{rooms: r, listener: listener, serves: true}
			p.ready = func(context.Context) error { fmt.Printf("http://%s/console/ ready\n", listener.Addr()); return nil }
			return p.run(c.Context())
		},
	}
}

func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "worker",
		Short:   "Run syncs and keep the audit log, with an external Postgres and Temporal; any number of them",
		Long:    "Run syncs and keep the audit log, with an external Postgres and Temporal; any number of them.\n\nEnvironment:\n" + environmentHelp(),
		Example: `  LRSHUB_DATABASE_URL=postgres://lrshub:…@db/lrshub LRSHUB_KEYS_DIR=/keys LRSHUB_AUDIT_DIR=/audit LRSHUB_PUBLIC_URL=https://hub.example.org lrshub worker`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := fromEnvironment(needs...)
			if err != nil {
				return err
			}
			r, err := openRooms(c.Context(), s)
			if err != nil {
				return err
			}
			defer r.close()
			p := &process{rooms: r, works: true}
			p.ready = func(context.Context) error { fmt.Println("worker ready"); return nil }
			return p.run(c.Context())
		},
	}
}

func migrateCommand() *cobra.Command {
	var administrator string
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring an external Postgres database to this binary's schema",
		Long: `Bring an external Postgres database to this binary's schema, as its owner (LRSHUB_DATABASE_OWNER_URL), and make the login that
the other commands use: name and password are those of LRSHUB_DATABASE_URL.

With --administrator it also makes the first client, which may do everything, and writes its token into that file, for LRSHUB_TOKEN. A file
that is there is left alone. If the token was lost, remove the file and migrate again: the earlier one is revoked then. This needs
the environment of serve, but for Temporal.`,
		Example: `  lrshub migrate --administrator administrator.token`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			wanted := []string{"LRSHUB_DATABASE_URL", "LRSHUB_DATABASE_OWNER_URL"}
			if administrator != "" {
				wanted = append(wanted, needs...)
			}
			s, err := fromEnvironment(wanted...)
			if err != nil {
				return err
			}
			role, err := roleOf(s.DatabaseURL)
			if err != nil {
				return err
			}
			if err := database.Migrate(c.Context(), s.OwnerURL, role); err != nil {
				return err
			}
			version, err := database.Version(c.Context(), s.OwnerURL)
			if err != nil {
				return err
			}
			if administrator != "" {
				if err := firstAdministrator(c.Context(), s, administrator); err != nil {
					return err
				}
			}
			fmt.Fprintf(os.Stdout, "database at version %d\n", version)
			return nil
		},
	}
	c.Flags().StringVar(&administrator, "administrator", "", "make the first administrator and write its token into this file")
	return c
}

// firstAdministrator makes the client without which nobody could make any.
func firstAdministrator(ctx context.Context, s settings, file string) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	r, err := openStore(ctx, s)
	if err != nil {
		return err
	}
	defer r.close()
	_, err = (&folder{path: filepath.Dir(path)}).administrator(ctx, r, filepath.Base(path))
	return err
}
