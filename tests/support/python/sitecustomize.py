"""Python runs this at its start: the processes that tests start derive keys cheaply, too."""

import filedecryptor.core.crypto

filedecryptor.core.crypto.ITERATIONS = 1000
