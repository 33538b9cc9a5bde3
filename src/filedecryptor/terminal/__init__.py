"""What a person meets: signals, streams, results, errors, progress, options, passwords.

The rules of the terminal:

- Standard output carries results only: the paths of outputs, JSON lines, or the audio.
- Standard error carries everything that a person reads, each line after the program's name.
- What comes from outside (names, errors of stores and servers) is escaped where it is printed, in
  `console.py`, and nowhere else. A name on standard output is escaped only if that is a terminal:
  a file or a pipe gets its bytes.
- A secret is asked for at the terminal itself, wherever standard error goes.
- Failing to print a message is ignored; failing to write a result is an error.
- Streams are those of a `Console`, which is handed on. No other module asks `sys` for them.
"""
