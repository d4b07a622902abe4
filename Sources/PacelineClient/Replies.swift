import RESP

/// One reply of a server.
public typealias RESPValue = RESP.RESPValue
/// How much of one reply a connection takes before it is given up.
public typealias ReplyLimits = RESP.ReplyLimits
