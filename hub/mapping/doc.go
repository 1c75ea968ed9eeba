// Package mapping converts records of source systems to xAPI statements by mapping documents.
package mapping
