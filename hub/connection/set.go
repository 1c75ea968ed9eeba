package connection

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// setPath replaces or adds one value of a tree; path is the whole, for messages, and parts what is left of it.
func setPath(n *yaml.Node, path string, parts []string, value string) error {
	if parts[0] == "" {
		return &FileError{Key: "--set " + path, Problem: "a part of the path is empty: write --set key=value, or --set key.below=value"}
	}
	child, err := step(n, path, parts[0], len(parts) == 1)
	if err != nil {
		return err
	}
	if len(parts) > 1 {
		if isNull(child) {
			*child = yaml.Node{Kind: yaml.MappingNode}
		}
		if child.Kind == yaml.ScalarNode {
			return &FileError{Key: "--set " + path, Problem: fmt.Sprintf("%s is a single value in the file, nothing can be set below it", parts[0])}
		}
		return setPath(child, path, parts[1:], value)
	}
	if child.Kind != yaml.ScalarNode {
		return &FileError{Key: "--set " + path, Problem: "the file has several values there; set one of them"}
	}
	tag := "!!str"
	if was := child.ShortTag(); was == "!!int" || was == "!!float" || was == "!!bool" {
		given := yaml.Node{Kind: yaml.ScalarNode, Value: value}
		if tag = given.ShortTag(); tag != was && (was != "!!float" || tag != "!!int") {
			return &FileError{Line: child.Line, Key: "--set " + path, Problem: fmt.Sprintf("the file has %s there, and so must the new value be", kindOf(was))}
		}
	}
	*child = yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
	return nil
}

// step goes to a key or an element, and makes a key that is not there.
func step(n *yaml.Node, path, part string, last bool) (*yaml.Node, error) {
	if n.Kind == yaml.SequenceNode {
		i, err := strconv.Atoi(part)
		if err != nil || i < 0 || i >= len(n.Content) {
			return nil, &FileError{Line: n.Line, Key: "--set " + path, Problem: fmt.Sprintf("the file has a list of %d elements there; name one by its number, from 0", len(n.Content))}
		}
		return n.Content[i], nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == part {
			return n.Content[i+1], nil
		}
	}
	child := &yaml.Node{Kind: yaml.MappingNode}
	if last {
		child = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
	}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: part}, child)
	return child, nil
}

func kindOf(tag string) string {
	if tag == "!!bool" {
		return "true or false"
	}
	return "a number"
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
