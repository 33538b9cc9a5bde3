"""What a person meets: signals, streams, results, errors, progress, options, passwords.

The rules of the terminal:

- Standard output carries results only: the paths of outputs, JSON lines, or the audio.
- Standard error carries everything that a person reads, each line after the program's name.
- What comes from outside (names, errors of stores and servers) is escaped where it is printed, in
  `console.py`, and nowhere else. A name on standard output is escaped only if that is a terminal:
  a file or a pipe gets its bytes.
- Where nobody can read what is said, that is not a failure. A result that cannot be written is one.
- Streams are those of a `Console`, which is handed on. Nothing else asks `sys` for them.
"""
