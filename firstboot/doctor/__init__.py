"""The room of the doctor: looks at a node that waits or misbehaves, changes nothing, says what to do next."""
