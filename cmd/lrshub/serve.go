package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/database"
)

// needs are the environment variables that no production command can do without.
var needs = []string{"LRSHUB_DATABASE_URL", "LRSHUB_KEYS_DIR", "LRSHUB_AUDIT_DIR", "LRSHUB_PUBLIC_URL"}

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Answer requests, with an external Postgres and Temporal; any number of them",
		Long:  "Answer requests, with an external Postgres and Temporal; any number of them.\n\nEnvironment:\n" + environmentHelp(),
		Args:  exactly(),
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
		Use:   "worker",
		Short: "Run syncs and keep the audit log, with an external Postgres and Temporal; any number of them",
		Long:  "Run syncs and keep the audit log, with an external Postgres and Temporal; any number of them.\n\nEnvironment:\n" + environmentHelp(),
		Args:  exactly(),
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
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring an external Postgres database to this binary's schema",
		Long: `Bring an external Postgres database to this binary's schema, as its owner (LRSHUB_DATABASE_OWNER_URL), and make the login that
the other commands use: name and password are those of LRSHUB_DATABASE_URL.`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := fromEnvironment("LRSHUB_DATABASE_URL", "LRSHUB_DATABASE_OWNER_URL")
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
			fmt.Fprintf(os.Stdout, "database at version %d\n", version)
			return nil
		},
	}
}
