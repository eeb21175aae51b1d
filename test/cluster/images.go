package main

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/test/cluster/image"
	"sparkpipeline.dev/operator/test/cluster/spark"
)

func imageCommand() *cobra.Command {
	var spec image.Spec
	var out string
	var files []string
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Make a container image's archive out of tar layers and files",
		Example: `  cluster image --ref example.org/app:1 --out app.tar --file /app=bin/app:0755 --entrypoint /app --user 65532
  cluster image --ref example.org/tool:1 --out tool.tar --layer base.tar --layer tool-layer.tar --entrypoint /bin/tool`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) > 0 {
				layer, err := fileLayer(files)
				if err != nil {
					return err
				}
				defer os.Remove(layer)
				spec.Layers = append(spec.Layers, layer)
			}
			if err := image.Write(out, spec); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), out)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&spec.Ref, "ref", "", "name with registry and tag")
	flags.StringVar(&out, "out", "", "archive to write")
	flags.StringArrayVar(&spec.Layers, "layer", nil, "tar file, plain or gzipped, the lowest first (repeatable)")
	flags.StringArrayVar(&files, "file", nil, "file for a layer on top, as <path in the image>=<path here>[:<octal mode>], owned by root (repeatable)")
	flags.StringSliceVar(&spec.Entrypoint, "entrypoint", nil, "command to run, its arguments after commas")
	flags.StringSliceVar(&spec.Cmd, "cmd", nil, "default arguments, separated by commas")
	flags.StringVar(&spec.User, "user", "", "user to run as, as uid or uid:gid")
	flags.StringVar(&spec.WorkDir, "workdir", "", "working directory")
	flags.StringArrayVar(&spec.Env, "env", nil, "environment variable NAME=value (repeatable)")
	flags.StringToStringVar(&spec.Labels, "label", nil, "image label name=value (repeatable)")
	flags.StringVar(&spec.Architecture, "arch", "amd64", "architecture in Go's spelling")
	for _, name := range []string{"ref", "out"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // A name that is no flag of this command.
		}
	}
	return cmd
}

// fileLayer writes a layer of the files to a temporary file.
func fileLayer(files []string) (string, error) {
	var entries []image.Entry
	for _, f := range files {
		entry, err := parseFile(f)
		if err != nil {
			return "", err
		}
		entries = append(entries, entry)
	}
	tmp, err := os.CreateTemp("", "layer-*.tar")
	if err != nil {
		return "", fmt.Errorf("create layer: %w", err)
	}
	tmp.Close()
	return tmp.Name(), image.WriteLayer(tmp.Name(), entries)
}

// parseFile reads <path in the image>=<path here>[:<octal mode>]. The mode is
// 0644 without one.
func parseFile(arg string) (image.Entry, error) {
	path, source, found := strings.Cut(arg, "=")
	if !found || !strings.HasPrefix(path, "/") {
		return image.Entry{}, fmt.Errorf("--file %q: want /path/in/image=path/here[:mode]", arg)
	}
	mode := fs.FileMode(0o644)
	if i := strings.LastIndex(source, ":"); i >= 0 {
		bits, err := strconv.ParseUint(source[i+1:], 8, 12)
		if err != nil {
			return image.Entry{}, fmt.Errorf("--file %q: mode %q is no octal number", arg, source[i+1:])
		}
		source, mode = source[:i], fs.FileMode(bits)
	}
	return image.Entry{Path: path, Source: source, Mode: mode}, nil
}

func sparkImageCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "spark-image",
		Short: "Make the Spark image " + spark.Ref + " with a sample stream; the last line is the path of its archive (Linux, root)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			archive, err := spark.Image(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), archive)
			return nil
		},
	}
}

func sparkHomeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "spark-home",
		Short: "Unpack Spark " + spark.Version + " for a spark-submit on this machine; the last line is its directory",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := spark.Home(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), home)
			return nil
		},
	}
}

func sparkAppCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "spark-app",
		Short: "Compile the sample programs against Spark " + spark.Version + "; the last line is the path of their jar",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			jar, err := spark.App(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), jar)
			return nil
		},
	}
}
