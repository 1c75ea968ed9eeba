package mapping

// steadyNode is a part of a template under `for` that is the same for every element: it names nothing that `as` or the
// statement's `let` give. It is rendered once a record.
type steadyNode struct {
	node
	id int // counts through a stream
}

type rendered struct {
	done    bool
	present bool
	text    []byte
}

func (n *steadyNode) render(ev *Evaluation, b []byte) ([]byte, bool, error) {
	if ev.steady == nil {
		ev.steady = make([]rendered, ev.stream.steady)
	}
	kept := &ev.steady[n.id]
	if kept.done {
		return append(b, kept.text...), kept.present, nil
	}
	start := len(b)
	b, present, err := n.node.render(ev, b)
	if err != nil {
		return b, false, err
	}
	*kept = rendered{done: true, present: present, text: append([]byte(nil), b[start:]...)}
	return b, present, nil
}

// steady wraps the largest parts of a template that name none of the changing variables.
func (c *compiler) steady(n node, changing map[string]bool) node {
	if same(n, changing) {
		if _, literal := n.(literalNode); literal {
			return n
		}
		c.steadies++
		return &steadyNode{node: n, id: c.steadies - 1}
	}
	switch n := n.(type) {
	case *objectNode:
		for i := range n.members {
			n.members[i].value = c.steady(n.members[i].value, changing)
		}
	case *listNode:
		for i := range n.items {
			n.items[i] = c.steady(n.items[i], changing)
		}
	}
	return n
}

// same says whether a node gives the same for every element.
func same(n node, changing map[string]bool) bool {
	switch n := n.(type) {
	case literalNode:
		return true
	case *valueNode:
		return n.expression.same(changing)
	case *textNode:
		for _, part := range n.parts {
			if part.expression != nil && !part.expression.same(changing) {
				return false
			}
		}
		return true
	case *objectNode:
		for _, m := range n.members {
			if m.key != nil && !same(m.key, changing) || !same(m.value, changing) {
				return false
			}
		}
		return true
	case *listNode:
		for _, item := range n.items {
			if !same(item, changing) {
				return false
			}
		}
		return true
	}
	return false // a reference has its place in each statement
}

func (e *expression) same(changing map[string]bool) bool {
names:
	for name := range e.names {
		for u := e.use; u != nil; u = u.parent {
			if argument, ok := u.arguments[name]; ok {
				if !argument.same(changing) {
					return false
				}
				continue names
			}
		}
		if changing[name] {
			return false
		}
	}
	return true
}
