// The client API's messages as TypeScript sees them: proto/client.proto, with numbers as plain numbers.

import '../model/protobuf-numbers.js'
import { peerdrive } from '../../proto/gen/client.js'

export const Request = peerdrive.client.Request
export const Response = peerdrive.client.Response
export type RequestBody = Omit<peerdrive.client.Request.$Properties, 'id'>
export type ResponseBody = Omit<peerdrive.client.Response.$Properties, 'id' | 'done'>
export type AnyRequest = peerdrive.client.Request.$Properties
export type AnyResponse = peerdrive.client.Response.$Properties
