//! The program's own list of errors. Those of the network's list that nothing raises
//! are left out.

common::rules! {
    INVALID_MARKET = 6000 InvalidMarketAccount "This market account is not valid.";
    MARKET_IN_WRONG_STATE = 6001 MarketInWrongState "This market does not have the right status.";
    NOT_IN_QUEUE = 6002 NotInMarketQueue "Account cannot be find account in market queue.";
    INVALID_JOB = 6003 InvalidJobAccount "This job account is not valid.";
    JOB_IN_WRONG_STATE = 6004 JobInWrongState "This job does not have the right status.";
    JOB_NOT_EXPIRED = 6005 JobNotExpired "The job has not yet expired.";
    RESULT_NULL = 6006 JobResultNull "The job result can not be null.";
    TIMEOUT_NOT_GREATER = 6008 JobTimeoutNotGreater "The new job timeout should be larger than the current one.";
    RESULT_ALREADY_SET = 6010 JobResultsAlreadySet "The job results are already set.";
    NOT_ENOUGH_STAKE = 6013 NodeNotEnoughStake "This node has not staked enough tokens.";
    ALREADY_QUEUED = 6014 NodeAlreadyQueued "This node is already present in the queue.";
    NFT_WRONG_OWNER = 6016 NodeNftWrongOwner "This NFT is not owned by this node.";
    NFT_INVALID_AMOUNT = 6017 NodeNftInvalidAmount "Access NFT amount cannot be 0.";
    WRONG_COLLECTION = 6018 NodeKeyInvalidCollection "This access key does not belong to a verified collection.";
}
