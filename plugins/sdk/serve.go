package sdk

// Serve runs the connector as a process started by the hub; it is all that main does. It does not return.
func Serve(c Connector) { serve(c) }
