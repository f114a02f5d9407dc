"""Words of which one may not stand for another: names and kinds of things, opposites, and the few that are the same.

General word lists, made for no data set. English.
"""

from __future__ import annotations

_CLASSES = {
    "place": """
        afghanistan albania algeria argentina armenia australia austria azerbaijan bahrain bangladesh belarus belgium
        bolivia bosnia brazil britain bulgaria cambodia cameroon canada chile china colombia congo croatia cuba cyprus
        czechia denmark ecuador egypt england eritrea estonia ethiopia europe africa asia antarctica fiji finland france
        georgia germany ghana greece guatemala haiti honduras hungary iceland india indonesia iran iraq ireland israel
        italy jamaica japan jordan kazakhstan kenya korea kosovo kuwait laos latvia lebanon libya lithuania luxembourg
        madagascar malaysia mali malta mexico moldova mongolia montenegro morocco mozambique myanmar namibia nepal
        netherlands nicaragua niger nigeria norway oman pakistan palestine panama paraguay peru philippines poland
        portugal qatar romania russia rwanda scotland senegal serbia singapore slovakia slovenia somalia spain sudan
        sweden switzerland syria taiwan tanzania thailand tunisia turkey uganda ukraine uruguay uzbekistan venezuela
        vietnam wales yemen zambia zimbabwe usa uk us eu uae america
        alabama alaska arizona arkansas california colorado connecticut delaware florida hawaii idaho illinois indiana
        iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri montana
        nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas utah vermont virginia washington wisconsin
        wyoming dakota carolina
        london paris berlin madrid rome vienna amsterdam brussels dublin lisbon athens moscow istanbul cairo tokyo osaka
        kyoto beijing shanghai delhi mumbai bangalore karachi dhaka jakarta manila seoul bangkok hanoi sydney melbourne
        toronto vancouver montreal chicago boston philadelphia houston dallas austin seattle denver miami atlanta
        detroit phoenix orlando vegas baltimore cleveland pittsburgh milwaukee memphis nashville munich hamburg
        frankfurt zurich geneva milan naples venice barcelona valencia stockholm oslo copenhagen helsinki prague
        budapest warsaw kiev kyiv lagos nairobi johannesburg dubai doha riyadh tehran baghdad jerusalem
    """,
    "people": """
        american british english french german italian spanish portuguese dutch belgian swiss austrian polish czech
        russian ukrainian greek turkish arab arabic hebrew israeli iranian persian indian pakistani chinese japanese
        korean vietnamese thai indonesian malay filipino australian canadian mexican brazilian argentine cuban african
        asian european latin irish scottish welsh swedish norwegian danish finnish icelandic hungarian romanian
        bulgarian serbian croatian egyptian moroccan nigerian kenyan ethiopian hindi urdu bengali tamil telugu punjabi
        mandarin cantonese swahili roman christian muslim jewish hindu buddhist catholic protestant islam christianity
        judaism hinduism buddhism
    """,
    "colour": """
        red blue green yellow orange purple violet pink brown black white grey gray silver gold golden cyan magenta
        turquoise beige maroon crimson scarlet
    """,
    "month": """
        january february march april june july august september october november december jan feb mar apr jun jul aug
        sep sept oct nov dec
    """,
    "day": "monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday tonight weekend weekday",
    "season": "spring summer autumn fall winter morning afternoon evening night noon midnight",
    "period": """
        second minute hour day week month quarter year decade century daily weekly monthly quarterly yearly annual
    """,
    "language": """
        python java javascript typescript golang rust ruby perl php swift kotlin scala haskell cobol fortran matlab sql
        html css bash powershell lua julia erlang elixir clojure numpy pandas tensorflow pytorch jax keras react angular
        vue django flask spring rails node express mysql postgres postgresql sqlite mongodb redis oracle cassandra
        ubuntu debian fedora c aws azure gcp docker kubernetes git svn json xml yaml csv
        markdown latex excel word powerpoint pdf jpeg png gif
    """,
    "currency": """
        dollar euro pound yen yuan rupee peso franc krona krone ruble rouble lira zloty forint shekel rand won baht
        ringgit dinar dirham riyal bitcoin ethereum usd eur gbp jpy cny inr chf sek nok dkk aud cad nzd rub pln cent
        penny
    """,
    "unit": """
        inch foot yard mile meter metre centimeter centimetre millimeter millimetre kilometer kilometre gram kilogram
        milligram ounce stone ton tonne liter litre milliliter millilitre gallon quart pint cup tablespoon teaspoon
        acre hectare celsius fahrenheit kelvin watt kilowatt volt amp ohm joule calorie newton pascal hertz byte
        kilobyte megabyte gigabyte terabyte bit mb gb tb kb kg cm mm km ml mg lb oz ft mph kph percent degree radian
        dozen hundred thousand million billion trillion
    """,
    "ordinal": """
        first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth twentieth
        last next previous final single double triple once twice thrice half quarter primary secondary tertiary
    """,
    "gender": """
        he she him her his hers male female man woman men women boy girl king queen prince princess actor actress
        mr mrs ms sir madam
    """,
    "family": """
        father mother dad mom mum brother sister son daughter uncle aunt nephew niece cousin grandfather grandmother
        grandson granddaughter husband wife parent child spouse boyfriend girlfriend friend
    """,
    "direction": """
        north south east west northern southern eastern western left right up down top bottom front back upper lower
        northeast northwest southeast southwest
    """,
    "brand": """
        android ios windows linux macos mac pc
        google apple microsoft amazon facebook meta twitter instagram youtube netflix spotify tesla ford toyota honda
        bmw mercedes audi volkswagen nissan hyundai samsung sony intel amd nvidia ibm uber lyft airbnb paypal venmo
        visa mastercard amex iphone ipad whatsapp telegram snapchat tiktok linkedin reddit walmart costco target ikea
        nike adidas pepsi coca starbucks mcdonalds disney marvel nintendo playstation xbox boeing airbus verizon
        comcast sprint chrome firefox safari edge gmail outlook alexa siri
    """,
    "sport": """
        football soccer basketball baseball hockey tennis golf cricket rugby volleyball boxing swimming cycling skiing
        nfl nba mlb nhl ncaa fifa uefa ipl olympics
    """,
    "animal": """
        dog cat horse cow pig sheep goat chicken duck goose turkey rabbit mouse rat lion tiger bear wolf fox elephant
        monkey snake bird fish shark whale dolphin frog bee ant spider
    """,
    "food": """
        apple banana orange grape lemon lime mango peach pear plum cherry strawberry potato tomato onion carrot rice
        pasta bread cheese milk butter egg beef pork lamb salmon tuna tea coffee beer wine water juice sugar salt
        pizza burger sandwich salad soup cake cookie chocolate
    """,
    "planet": "mercury venus earth mars jupiter saturn uranus neptune pluto moon sun",
    "person": """
        james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony donald
        steven paul andrew joshua kenneth kevin brian george edward ronald timothy jason jeffrey ryan jacob gary
        nicholas eric jonathan stephen larry justin scott brandon benjamin samuel frank gregory raymond alexander
        patrick jack dennis jerry tyler aaron henry peter adam nathan zachary walter kyle harold carl arthur roger
        keith jeremy lawrence sean christian albert joe ethan jesse ralph roy louis eugene philip bobby johnny bradley
        mary patricia jennifer linda elizabeth barbara susan jessica sarah karen nancy lisa margaret betty sandra
        ashley dorothy kimberly emily donna michelle carol amanda melissa deborah stephanie rebecca laura sharon
        cynthia kathleen amy angela shirley anna brenda pamela nicole samantha katherine emma ruth christine catherine
        debra rachel carolyn janet maria heather diane julie joyce victoria kelly christina joan evelyn lauren judith
        olivia martha cheryl megan andrea ann alice jean doris jacqueline kathryn hannah julia gloria teresa sara
        janice marie grace judy theresa beverly denise marilyn amber danielle rose brittany diana abigail natalie jane
        lori alexis tiffany kayla bob alice jim tom tim mike dave steve dan ben sam alex max leo kate jill jenny lucy
        sophie ali ahmed mohammed fatima wei li chen wang kumar singh patel smith johnson williams brown jones garcia
        miller davis rodriguez martinez hernandez lopez gonzalez wilson anderson taylor moore jackson martin lee perez
        thompson harris sanchez clark ramirez lewis robinson walker young allen
    """,
    "subject": """
        math mathematics physics chemistry biology history geography economics philosophy psychology algebra geometry
        calculus statistics
    """,
    "account": """
        checking savings joint current business personal basic premium standard plus pro free gold platinum silver
        bronze enterprise student senior junior adult debit credit prepaid virtual physical disposable traditional roth
        domestic international wire ach sepa swift dividend capital stock bond federal state local public private
        mortgage loan lease
    """,
    "shape": "circle square triangle rectangle cube sphere cone cylinder pyramid hexagon pentagon",
    "quantity": "area volume perimeter circumference radius diameter length width height depth weight mass speed",
    "digit": """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
    """,
}

_OPPOSITES = """
    enable/disable/deactivate activate/deactivate on/off before/after increase/decrease/reduce/lower raise/lower/cut
    up/down in/out into/from open/close/shut start/stop/end/finish begin/end/finish first/last buy/sell
    win/lose/won/lost won/lose wins/loses winner/loser winning/losing gain/loss/lose profit/loss
    add/remove/delete/subtract install/uninstall connect/disconnect lock/unlock block/unblock subscribe/unsubscribe
    encrypt/decrypt encode/decode compress/decompress upload/download import/export push/pull send/receive
    sent/received sending/receiving deposit/withdraw deposit/withdrawal give/take gave/took get/give lend/borrow
    accept/reject/decline approve/reject/deny allow/forbid/prevent/block/prohibit grant/revoke attack/defend
    love/hate like/dislike agree/disagree appear/disappear arrive/leave/depart arrival/departure come/go
    enter/exit/leave entrance/exit push/pull sit/stand wake/sleep live/die alive/dead born/died birth/death old/new
    young/old big/small large/small long/short tall/short high/low wide/narrow thick/thin deep/shallow heavy/light
    hot/cold warm/cool wet/dry hard/soft hard/easy difficult/easy fast/slow quick/slow early/late earlier/later
    soon/late full/empty rich/poor cheap/expensive strong/weak good/bad good/evil better/worse best/worst
    more/less/fewer most/least maximum/minimum max/min above/below over/under inside/outside internal/external
    inner/outer indoor/outdoor upper/lower top/bottom front/back left/right north/south east/west positive/negative
    plus/minus add/divide multiply/divide sum/difference product/quotient even/odd true/false yes/no right/wrong
    correct/incorrect/wrong legal/illegal possible/impossible safe/dangerous/unsafe public/private
    domestic/international domestic/foreign local/remote local/global male/female always/never all/none
    everything/nothing everyone/nobody everybody/nobody somebody/nobody with/without include/exclude
    including/excluding pass/fail success/failure succeed/fail same/different similar/different equal/unequal
    ascending/descending forward/backward backwards/forwards horizontal/vertical parallel/perpendicular input/output
    source/target sender/recipient sender/receiver buyer/seller lender/borrower employer/employee teacher/student
    landlord/tenant creditor/debtor debit/credit asset/liability income/expense import/export supply/demand
    tax/refund advantage/disadvantage benefit/drawback pros/cons strength/weakness cause/effect question/answer
    problem/solution ancient/modern past/future previous/next last/next temporary/permanent simple/complex
    simple/complicated major/minor senior/junior superior/inferior majority/minority optimistic/pessimistic
    happy/sad happiest/saddest biggest/smallest largest/smallest longest/shortest tallest/shortest highest/lowest
    fastest/slowest oldest/youngest oldest/newest hottest/coldest richest/poorest strongest/weakest
    heaviest/lightest bigger/smaller larger/smaller longer/shorter taller/shorter higher/lower faster/slower
    older/younger older/newer hotter/colder richer/poorer stronger/weaker heavier/lighter cheaper/costlier
    cheapest/costliest remember/forget build/destroy create/destroy create/delete save/delete save/spend save/lose
    hide/show hidden/visible visible/invisible known/unknown lost/found hire/fire war/peace friend/enemy
    hero/villain protagonist/antagonist day/night summer/winter morning/evening sunrise/sunset heaven/hell
    king/queen husband/wife brother/sister mother/father son/daughter freeze/melt boil/freeze heat/cool
    expand/contract/shrink grow/shrink rise/fall rising/falling attach/detach mount/unmount load/unload pack/unpack
    wrap/unwrap zip/unzip tie/untie do/undo mute/unmute follow/unfollow register/unregister sync/async
    synchronous/asynchronous static/dynamic mutable/immutable singular/plural active/passive active/inactive
    odd/even prime/composite acid/base anode/cathode virus/bacteria artery/vein gross/net fixed/variable
    nominal/real simple/compound bull/bear long/short call/put bid/ask refinance/default tax-free/taxable
    exempt/taxable eligible/ineligible both/neither either/neither any/none some/none hello/goodbye front/rear
    head/tail host/guest offense/defense attacker/defender home/away innocent/guilty sick/healthy clean/dirty
    smooth/rough sharp/blunt loose/tight bright/dark dark/light brave/cowardly kind/cruel polite/rude loud/quiet
    sweet/sour sweet/bitter fresh/stale raw/cooked married/single married/divorced present/absent present/past
    upstairs/downstairs ceiling/floor victory/defeat import/export oldest/latest earliest/latest arriving/departing
    cancel/confirm pause/resume freeze/unfreeze expire/renew refund/charge charged/refunded credited/debited
"""

# Each line is one meaning. Only words that stand for each other whatever the sentence.
_SAMES = """
    photo picture image
    film movie
    tv television telly
    show series
    phone telephone mobile cellphone smartphone
    app application
    buy purchase
    begin start commence
    end finish conclude
    help assist aid
    require need
    want wish desire
    obtain get acquire receive
    big large
    quick fast rapid
    method way approach
    error mistake fault
    fix repair resolve solve
    allow permit let
    create make generate produce
    show display
    choose select pick
    cost price
    charge fee
    job occupation
    author writer
    holiday vacation
    shop store
    car automobile vehicle
    auto automatic
    doctor physician
    purpose aim goal
    describe explain
    tell inform
    provide give supply offer furnish
    use utilize utilise employ
    about regarding concerning
    happen occur
    change modify alter
    delete remove erase
    entire whole complete
    usa us america states
    uk britain
    info information details
    maximum max
    minimum min
    percent percentage
    approximately about roughly around
    reason cause
    sing perform
    located situated
    determine decide
    ensure guarantee
    assist support
    convert transform
    execute run
    example instance
    document file
    dataset data
    folder directory
    website site
    picture photo
    definition meaning
    define mean
    phrase saying
    song track
    movie picture
    actor star
    kid child
    arrive come
    cash money
    topup top-up
    id identity
    verify confirm
    decline reject
    okay ok
"""

_NUMERAL = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen twenty".split()
    )
} | {
    word: str(10 * value)
    for value, word in enumerate("thirty forty fifty sixty seventy eighty ninety".split(), start=3)
}


def _classes() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, words in _CLASSES.items():
        for word in words.split():
            found.setdefault(word, name)
    return found


def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for group in _OPPOSITES.split():
        first, *rest = group.split("/")
        for other in rest:
            found.setdefault(first, set()).add(other)
            found.setdefault(other, set()).add(first)
    return {word: frozenset(others) for word, others in found.items()}


def _sames() -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for number, line in enumerate(_SAMES.strip().splitlines()):
        for word in line.split():
            found.setdefault(word, set()).add(number)
    return {word: frozenset(numbers) for word, numbers in found.items()}


CLASS_OF = _classes()
OPPOSITES = _opposites()
SAME_GROUPS = _sames()
NUMERALS = _NUMERAL
