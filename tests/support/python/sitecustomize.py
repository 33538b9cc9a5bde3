"""Python runs this at its start: the processes that tests start derive keys cheaply, too."""

import filedecryptor.crypto

filedecryptor.crypto.ITERATIONS = 1000
