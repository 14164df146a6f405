//! The program's own list of errors. Those of the network's list that nothing raises
//! are left out; those that other programs raise as well lie in `common::staking`.

common::rules! {
    AMOUNT_NOT_ENOUGH = 6000 AmountNotEnough "This amount is not enough.";
    ALREADY_STAKED = 6003 AlreadyStaked "This stake is already staked.";
    NOT_UNSTAKED = 6005 NotUnstaked "This stake is not yet unstaked.";
    LOCKED = 6006 Locked "This stake is still locked.";
    DURATION_TOO_SHORT = 6007 DurationTooShort "This stake duration is not long enough.";
    DURATION_TOO_LONG = 6008 DurationTooLong "This stake duration is too long.";
    HAS_REWARD = 6011 HasReward "This stake still has a reward account.";
}
