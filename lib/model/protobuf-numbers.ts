// Makes protobufjs read 64-bit integers as numbers. Has to be imported before any generated module (they take the defaults of
// their fields from it when they are loaded).

import protobuf from 'protobufjs/minimal.js'

protobuf.util.Long = null as unknown as typeof protobuf.util.Long
protobuf.configure()
