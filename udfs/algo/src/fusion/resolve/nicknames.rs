//! Short and foreign forms of given names, in groups of names that one person may go by.

use std::collections::HashMap;
use std::sync::OnceLock;

/// One group a line. A name may be in several groups (`al` is Alan, Albert and Alfred), which are not one group.
const GROUPS: &str = "\
abigail abby gail
albert al bert bertie
alan allan allen al
alexander alex alec sandy sasha xander alejandro
alexandra alex sandra sandy sasha lexi
alfred al fred alfie
alice ali allie
amanda mandy amy
andrew andy drew andreas andre andres
angela angie angelina
ann anne anna annie nancy hannah ana nan
anthony tony antonio anton
arthur art artie
barbara barb barbie babs
benjamin ben benny benji
bernard bernie barney
bradley brad
brandon brandy
calvin cal
cameron cam
carolyn caroline carol carrie lynn
catherine katherine kathryn katharine cathy kathy kate katie kat kitty katrina caitlin karen katarina
charles charlie chuck chas carlos karl carl
charlotte charlie lottie
christine christina chris chrissy tina kristin kristen kristina kirsten
christopher chris kit topher cristobal
clifford cliff
cynthia cindy
daniel dan danny
danielle dani
david dave davey davy
deborah debra deb debbie debby
dennis denny
diana diane di
donald don donny donnie
dorothy dot dottie dolly dora
douglas doug
edmund ed eddie ned
edward ed eddie ted teddy ned eduardo
edwin ed eddie
eleanor ellie nell nora elle
elizabeth liz beth betty eliza lizzie betsy elsie libby lisa elisabeth bess
emily em emma millie
emma em
ernest ernie
eugene gene
evelyn eve evie
florence flo
frances fran franny frankie francesca
francis frank frankie francisco fran
franklin frank
frederick fred freddy freddie fritz
gabriel gabe
gabrielle gabby gaby
gary gaz
gerald gerry jerry
gilbert gil bert
george georgie jorge
geoffrey jeffrey jeff geoff
gregory greg gregg
harold harry hal
harriet hattie
helen ellen nell helena elena
henry harry hank hal enrique heinrich
herbert herb bert
howard howie
isaac ike
isabella bella izzy isabel isabelle
jacob jake jack
jacqueline jackie jacqui
james jim jimmy jamie jem
jane janey janie jenny
janet jan
jason jay
jean jeanne jeanie
jennifer jen jenny jenna
jeremy jerry jem
jerome jerry
jessica jess jessie
joan joanie
joanna joanne jo
john jack johnny jon juan johann sean ian johan
jonathan jon jonny nathan
joseph joe joey jose josef
josephine jo josie
joshua josh
joyce joy
judith judy judi
julia julie jules
kenneth ken kenny
kimberly kim kimmy
lawrence laurence larry laurie
leonard leo len lenny
leonardo leo
leslie les
lewis louis lou louie luis
lillian lily lil
louise lou
lucille lucy lucia
madeline maddie madeleine
margaret maggie meg peggy marge margie rita greta margarita daisy
maria marie mary
marjorie marge margie
martha marty mattie
martin marty
mary molly polly mae mamie
matthew matt matty mateo
maureen mo
maxwell max
maximilian max
megan meg
melissa missy mel lissa
melanie mel
michael mike mick mickey mikey miguel mitch michel
michelle shelly
mildred millie
miriam mimi
mitchell mitch
nancy nan
natalie nat
nathaniel nathan nate nat
nathan nate
nicholas nick nicky nicolas niko klaus
nicole nicky nikki
norman norm
oliver ollie
olivia liv livvy
oscar ozzie
pamela pam
patricia pat patty tricia trish patsy
patrick pat paddy
paul pablo
paula polly
peter pete pedro
philip phillip phil
priscilla cilla
rachel rachael rae
ralph ralphie
raymond ray
rebecca becky becca
reginald reg reggie
richard rick dick rich ricky richie ricardo
robert bob rob bobby robbie bert roberto
roberta bobbie robbie
rodney rod
roger rodge
ronald ron ronnie
rosemary rose rosie
russell russ rusty
ruth ruthie
samantha sam sammy
samuel sam sammy
sandra sandy
sarah sara sally sadie
scott scotty
sebastian seb
sharon shari
sheila shelly
shirley shirl
sidney sid
solomon sol
sophia sophie
stanley stan
stephanie steph
stephen steven steve stevie esteban stefan
stuart stewart stu
susan sue susie suzie suzanne susanna suzy
sylvia sylvie
tamara tammy
teresa theresa terry tess tessa
terence terry
theodore ted teddy theo
thomas tom tommy tomas
timothy tim timmy
tobias toby
tracy tracey
valerie val
vanessa nessa
veronica ronnie vera
victor vic
victoria vicky tori vickie
vincent vince vinny
virginia ginny ginger
walter walt wally
wendy wen
wilfred will fred
william will bill billy liam willie guillermo wilhelm
winifred winnie freda
yolanda yoli
zachary zach zack";

/// The groups that `name`, in the spelling of [`crate::text::name_norm`], is in; at most four, the rest of the array being 0.
pub(super) fn groups(name: &str) -> [u16; 4] {
    static TABLE: OnceLock<HashMap<&'static str, [u16; 4]>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table: HashMap<&str, [u16; 4]> = HashMap::new();
        for (number, group) in (1_u16..).zip(GROUPS.lines()) {
            for name in group.split(' ') {
                let held = table.entry(name).or_default();
                if let Some(free) = held.iter_mut().find(|held| **held == 0) {
                    *free = number;
                }
            }
        }
        table
    });
    table.get(name).copied().unwrap_or_default()
}

/// Whether two names with these groups may be one person's.
pub(super) fn related(a: [u16; 4], b: [u16; 4]) -> bool {
    a.iter().any(|group| *group != 0 && b.contains(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_related_within_a_group_only() {
        let check = |a, b| related(groups(a), groups(b));
        assert!(check("bill", "william"));
        assert!(check("bob", "robert"));
        assert!(check("al", "albert"));
        assert!(check("al", "alan"));
        assert!(!check("albert", "alan"));
        assert!(!check("bill", "bob"));
        assert!(!check("nosuchname", "nosuchname"));
    }

    #[test]
    fn names_in_more_than_four_groups_would_be_cut_short() {
        let mut count: HashMap<&str, usize> = HashMap::new();
        for name in GROUPS.lines().flat_map(|group| group.split(' ')) {
            *count.entry(name).or_default() += 1;
        }
        assert!(count.values().all(|count| *count <= 4));
    }
}
